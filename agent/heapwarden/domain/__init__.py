"""What is known: identities, samples, collections, limits, findings, verdicts, errors.

Frozen records and the arithmetic that belongs to them. No I/O, no clock, no settings; times are handed in.
Bytes are ``int``, durations are ``float`` seconds, ratios are ``float`` with 1.0 as "all of it".
"""
