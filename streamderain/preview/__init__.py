"""The live page: rainy and derained under a slider, the numbers beside it, and two dials.

It knows no network, no video source and no codec: it is given pictures (`sink.Preview`) and values
(`watchable.Watchable`). `server` imports aiohttp and, for WebRTC, `peers` imports aiortc; both come with the extra
`live`. Importing this package loads neither.
"""
