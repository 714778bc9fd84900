"""Recommendation: two towers, of users from their behaviour and of items from ids and features."""

from skbp.recommendation.ratings import RatingRegressor
from skbp.recommendation.two_tower import TwoTowerRecommender

__all__ = ["RatingRegressor", "TwoTowerRecommender"]
