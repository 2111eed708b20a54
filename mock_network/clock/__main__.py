"""`python -m mock_network.clock`: the clock process."""

from mock_network.clock.command import clock

clock()
