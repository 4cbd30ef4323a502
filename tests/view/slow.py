"""An estimator that takes its time, as the source of a cell."""

SLOW = """
import time
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris

class Slow(ClassifierMixin, BaseEstimator):
    def __init__(self, seconds=0.0):
        self.seconds = seconds
    def fit(self, X, y):
        time.sleep(self.seconds)
        self.classes_ = [0, 1, 2]
        return self
    def predict(self, X):
        return [0] * len(X)

X, y = load_iris(return_X_y=True)
"""
