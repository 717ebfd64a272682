"""Redis and Valkey: engines that speak what Node's Redis adapters speak, so that Node and Python are one cluster.

May import what ``adapters`` may, and redis-py (``asocketio[redis]``) in `places`.
"""

from asocketio.adapters.redis.adapters import RedisAdapter, RedisStreamsAdapter, ShardedRedisAdapter

__all__ = ["RedisAdapter", "RedisStreamsAdapter", "ShardedRedisAdapter"]
