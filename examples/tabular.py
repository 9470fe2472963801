"""A forest of scikit-learn becomes a small network with the same predictions, and a file that needs no scikit-learn."""

import pickle

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import train_test_split

import attar
from attar.estimators import Mimic

x, y = load_breast_cancer(return_X_y=True, as_frame=False)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, stratify=y, random_state=0)
forest = ExtraTreesClassifier(200, random_state=0).fit(x_train, y_train)

# No labels: the forest labels synthetic rows that look like these.
mimic = Mimic(forest, hidden=(32,), rows=8000, p=0.5, s=5.0, steps=600, random_state=0).fit(x_train)
print(mimic.report_)
print(f"accuracy: forest {forest.score(x_test, y_test):.3f}, mimic {mimic.score(x_test, y_test):.3f}")

mimic.save("artifact")
artifact = attar.load("artifact")
same = np.abs(artifact.predict_proba(x_test.astype(np.float32)) - mimic.predict_proba(x_test)).max()
print(f"bytes: forest {len(pickle.dumps(forest)):,}, artifact {artifact.size_bytes:,}; largest difference {same:.1e}")
