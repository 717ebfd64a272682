"""The wire fuzzer: right and wrong bytes, of every generation, against a server in a process of its own."""
