"""The lines to instruments: serial, VISA, Modbus, and the one thread that uses a port.

Public: `line_query.LineQuery`, `modbus.ModbusLink`, `serial_line.SerialLine`, `visa_line.VisaLine`.
"""
