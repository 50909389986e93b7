"""The value model's training: `train` fits, judges, registers and gates it, `report` tells what was measured; `named`
trains any model by its name, value among them.
"""
