from radapter.training import Stopwatch


def test_seconds_are_those_since_it_was_made_and_those_before():
    times = iter([100.0, 103.0, 104.0])
    watch = Stopwatch(lambda: next(times))
    assert watch.seconds == 3.0
    watch.add(20.0)
    assert watch.seconds == 24.0
