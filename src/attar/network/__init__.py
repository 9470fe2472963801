"""Networks: ready-made small ones, facts about any module tree, and how to rebuild one without unpickling."""
