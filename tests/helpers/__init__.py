"""Parts that tests of several packages share: fakes, small networks, small sweeps, stores."""
