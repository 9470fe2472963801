"""N2N learning: a policy that removes and shrinks layers of a teacher's network, and learns from what comes of it."""
