"""The tick and what keeps it going: discover, read, analyse, judge, publish.

Asks the ports and nothing concrete; starts and owns tasks and ends them. Nothing here waits for a source longer than
its deadline; the tick sleeps through the clock it was given.
"""
