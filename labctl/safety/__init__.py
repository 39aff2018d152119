"""Safety: limits today; interlock and guard have their own modules."""
