"""A measurement as data, and its files.

Public: `files.load_protocol`, `files.save_protocol`, `protocol.Gapless`, `protocol.Loop`, `protocol.Mark`,
`protocol.Protocol`, `protocol.SetPressure`, `protocol.SetTemperature`, `protocol.Soak`, `rated_steps.CcCv`,
`rated_steps.RatedCurrent`.
"""
