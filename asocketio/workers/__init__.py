"""Several workers of one server on one host: a request that meets the wrong one is served all the same."""
