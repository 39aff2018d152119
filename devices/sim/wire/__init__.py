"""How an emulated instrument is reached, and the faults of its line.

Public: `serial_emulator.SerialEmulator`, `modbus_server.ModbusUnit`.
"""
