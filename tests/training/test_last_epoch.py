"""The reference is left at its last epoch unless an earlier one was better beyond noise: luck favours no yardstick."""

from __future__ import annotations

import numpy as np

from parsimony.training import last_epoch


def test_an_epoch_is_better_beyond_noise_from_one_standard_error_on() -> None:
    # 0.9 of 900 rows has a standard error of 0.01.
    assert last_epoch.within_noise(0.891, 0.9, 900)
    assert not last_epoch.within_noise(0.889, 0.9, 900)
    assert last_epoch.within_noise(1.0, 1.0, 10)


def test_the_choice_favours_the_reference_less_and_costs_no_quality() -> None:
    """Epochs that near a limit, whose predictions of 1,000 rows differ in 2 % from each other: what is chosen looks how much
    better than it is, and how good is it?"""
    rng = np.random.default_rng(0)
    rows, epochs, truth = 1000, 5, 0.92 - 0.03 * 0.4 ** np.arange(5)
    favour, quality = {"best": 0.0, "last": 0.0}, {"best": 0.0, "last": 0.0}
    worlds = 4000
    for _ in range(worlds):
        accuracies = truth + rng.normal(0, 0.008) + rng.normal(0, (0.02 / 2 / rows) ** 0.5, epochs)
        best = int(accuracies.argmax())
        chosen = {
            "best": best,
            "last": epochs - 1 if last_epoch.within_noise(accuracies[-1], accuracies[best], rows) else best,
        }
        for rule, epoch in chosen.items():
            favour[rule] += (accuracies[epoch] - truth[epoch]) / worlds
            quality[rule] += truth[epoch] / worlds
    assert favour["best"] > 0.0008
    assert favour["last"] < favour["best"] / 2
    assert quality["last"] >= quality["best"]
