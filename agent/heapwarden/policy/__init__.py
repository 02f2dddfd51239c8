"""Pure rules: which process a rule means, and what its findings mean for its health.

Rules are frozen records made by the settings; what must be remembered between two judgements is an explicit, frozen
memory that goes in and comes out. Time is an argument. No I/O, no clock.
"""
