"""The lines to instruments: serial, VISA, Modbus, and the one thread that uses a port."""
