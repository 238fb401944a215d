"""What the sample `apigen` lets a model call."""


def final_velocity(initial_velocity: float, acceleration: float, time: float) -> float:
    """The velocity after some time, all in SI units."""
    return initial_velocity + acceleration * time


def permutation_count(n: int, k: int) -> int:
    """In how many orders k of n things can be taken."""
    count = 1
    for factor in range(n - k + 1, n + 1):
        count *= factor
    return count
