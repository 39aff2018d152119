"""What drivers are made of, and what plans may ask of a device."""
