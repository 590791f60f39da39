"""Selection that is itself learned: rankers of sets, bandits over strategies, policies."""
