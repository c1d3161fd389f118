"""Toy data of particle physics, for training and as sample inputs: plausible, not measured."""

from __future__ import annotations

import numpy as np
from _golden import Array

__all__ = [
    "EVENTS",
    "JETS",
    "JET_CLASSES",
    "draw_events",
    "draw_graphs",
    "draw_jets",
    "draw_showers",
    "draw_tracks",
]

JET_CLASSES = ("gluon", "quark", "W", "Z", "top")

JETS = {
    # feature: (typical value for each class, spread)
    "log_pt": ((6.9, 6.9, 6.9, 6.9, 6.9), 0.1),
    "mass": ((95.0, 72.0, 88.0, 98.0, 176.0), 28.0),
    "groomed_mass": ((38.0, 27.0, 80.4, 91.2, 172.5), 14.0),
    "n_constituents": ((58.0, 39.0, 41.0, 42.0, 63.0), 11.0),
    "n_charged": ((34.0, 22.0, 23.0, 24.0, 36.0), 7.0),
    "charged_fraction": ((0.61, 0.62, 0.63, 0.61, 0.62), 0.09),
    "width": ((0.14, 0.09, 0.11, 0.12, 0.18), 0.05),
    "pt_dispersion": ((0.26, 0.38, 0.31, 0.31, 0.24), 0.08),
    "leading_fraction": ((0.13, 0.24, 0.17, 0.17, 0.12), 0.06),
    "displaced_tracks": ((0.3, 0.3, 0.4, 1.1, 1.9), 0.8),
    "tau1": ((0.16, 0.11, 0.12, 0.13, 0.20), 0.05),
    "tau21": ((0.68, 0.66, 0.36, 0.37, 0.58), 0.13),
    "tau32": ((0.77, 0.76, 0.74, 0.74, 0.48), 0.12),
    "c2": ((0.24, 0.19, 0.14, 0.15, 0.25), 0.06),
    "d2": ((2.3, 2.2, 1.2, 1.3, 1.9), 0.5),
    "n2": ((0.33, 0.32, 0.21, 0.22, 0.30), 0.05),
}
"""Sixteen observables of a jet."""

EVENTS = ("mass", "lepton_1_pt", "lepton_2_pt", "missing_pt", "angle", "n_jets")
"""What there is to know of an event."""


def draw_jets(n_jets: int, seed: int) -> tuple[Array, Array]:
    """Return features, float32 (n_jets, 16), and class numbers, int64 (n_jets,)."""
    random = np.random.default_rng(seed)
    labels = random.integers(len(JET_CLASSES), size=n_jets)
    typical = np.array([values for values, _ in JETS.values()]).T
    spread = np.array([spread for _, spread in JETS.values()])
    shared = random.normal(size=(n_jets, 1))  # what all features of one jet have in common
    noise = 0.4 * shared + 0.9 * random.normal(size=(n_jets, len(JETS)))
    return (typical[labels] + spread * noise).astype(np.float32), labels


def draw_events(n_events: int, seed: int) -> tuple[Array, Array]:
    """Return two-lepton events, float32 (n_events, 6), and ``signal`` or ``background``."""
    random = np.random.default_rng(seed)
    is_signal = random.random(n_events) < 0.4
    mass = np.where(
        is_signal, random.normal(125.0, 6.0, n_events), 60.0 + random.exponential(50.0, n_events)
    )
    lepton_pt = np.sort(random.gamma(3.0, 12.0 + 4.0 * is_signal[:, None], (n_events, 2)))[:, ::-1]
    missing_pt = random.exponential(20.0 + 15.0 * is_signal, n_events)
    angle = np.abs(random.normal(2.4 - 0.6 * is_signal, 0.5, n_events))
    n_jets = random.poisson(1.0 + is_signal, n_events)
    events = np.column_stack([mass, lepton_pt, missing_pt, angle, n_jets])
    return events.astype(np.float32), np.where(is_signal, "signal", "background")


def draw_tracks(n_jets: int, n_tracks: int, seed: int) -> tuple[Array, Array, Array]:
    """Return the tracks of jets, the hardest first, and whether a jet is of a b quark.

    Returns:
        float32 (n_jets, n_tracks, 5): log pt, distance in eta and phi, two impact parameters, zeros
        where there is no track; bool (n_jets, n_tracks), where there is one; int64 (n_jets,).
    """
    random = np.random.default_rng(seed)
    is_b = random.random(n_jets) < 0.5
    n_there = random.integers(2, n_tracks + 1, n_jets)
    there = np.arange(n_tracks) < n_there[:, None]
    pt = np.sort(random.gamma(1.5, 4.0, there.shape), axis=1)[:, ::-1]
    place = random.normal(0, 0.12, (*there.shape, 2))
    displaced = there & is_b[:, None] & (random.random(there.shape) < 0.45)
    impact = random.normal(0, 0.03, (*there.shape, 2)) * np.where(displaced, 9, 1)[..., None]
    tracks = np.concatenate([np.log1p(pt)[..., None], place, impact], axis=2)
    return (tracks * there[..., None]).astype(np.float32), there, is_b.astype(np.int64)


def draw_showers(n_showers: int, seed: int, size: int = 12) -> tuple[Array, Array]:
    """Return calorimeter images, float32 (n, size, size) in GeV, and whether of a photon."""
    random = np.random.default_rng(seed)
    is_photon = random.random(n_showers) < 0.5
    y, x = np.mgrid[:size, :size]
    images = np.zeros((n_showers, size, size))
    for i in range(n_showers):
        for _ in range(1 if is_photon[i] else random.integers(2, 5)):
            at, width = random.normal(size / 2, 1.5, 2), random.uniform(0.6, 1.2)
            far = (x - at[0]) ** 2 + (y - at[1]) ** 2
            images[i] += random.exponential(4.0) * np.exp(-far / (2 * width**2))
    images += random.exponential(0.02, images.shape)
    return images.astype(np.float32), is_photon.astype(np.int64)


def draw_graphs(n_hits: int, n_edges: int, seed: int) -> tuple[Array, Array]:
    """Return the hits of a detector, float32 (n_hits, 3), and edges between them, int64 (2, n)."""
    random = np.random.default_rng(seed)
    hits = random.normal(0, 1, (n_hits, 3)).astype(np.float32)
    return hits, random.integers(0, n_hits, (2, n_edges))
