"""What drivers are made of, and what plans may ask of a device.

Public: `columns.Column`, `cycler.CyclerDevice`, `instrument.Instrument`,
`polled_instrument.PolledInstrument`, `program.ProgramRecord`, `protocols.Cycler`, `protocols.Environment`,
`techniques.ConstantCurrent`, `techniques.ConstantVoltage`, `techniques.Impedance`,
`techniques.OpenCircuit`, `techniques.Sampling`.
"""
