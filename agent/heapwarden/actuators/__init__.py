"""Ways to act on a process, one file each.

Only here is anything signalled, started or ended, and only by explicit request. A signal goes through a pidfd, to a
process that is known by pid and start time; other programs are started by ``programs`` alone.
"""
