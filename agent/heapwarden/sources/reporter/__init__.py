"""The reporter's side of the socket: frames decoded, connections held, identities taken from the kernel.

A frame is hostile until decoded. Nothing in here writes anything to a reporter but its configuration.
"""
