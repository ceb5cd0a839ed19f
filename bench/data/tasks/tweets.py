"""Sentiment of a tweet, by the mean of twenty human ratings."""

from bench.data.tasks import Shipped, TaskInfo

INFO = TaskInfo(
    name="tweets",
    title="Sentiment of tweets",
    label_names=("negative", "positive"),
    max_length=128,
    licence="MIT, shipped with this project",
    citation="Hutto & Gilbert 2014, VADER: a parsimonious rule-based model for sentiment analysis, ICWSM",
    sources=(Shipped("tweets"),),
    note="2892/400/800 tweets; gold is the sign of the mean of 20 human ratings, tweets with |mean| <= 0.05 left out.",
)
