"""Connected accounts: how they are made, kept alive, used, and what happens when one dies.

- ``store``: the rows, sealed; the one writer of `connected_accounts`.
- ``tokens``: the conversation with token endpoints.
- ``vault``: accounts opened for use, refreshed once for everybody.
- ``authorise``: httpx auth flows of accounts and apps; ``apps`` has the apps' own tokens.
- ``governor``: rate limits, shared by all workers.
- ``flow``: connecting, by consent page or by key; ``attempts`` are the ways there and back.
- ``needs``: what an AREA needs of accounts when it is saved.
- ``held``: runs that wait for an account.
- ``choices``: values that a provider offers for an input.
"""
