"""URLs with secrets in all the places where cameras, servers and clouds want them; each is of a kind."""

from __future__ import annotations

LOGINS = (
    "admin:s3cr3t", "admin:s3cr3t@s3cr3t", "admin:s3cr3t/s3cr3t", "admin:s3cr3t#s3cr3t", "admin:s3cr3t%s3cr3t",
    "admin:s3cr3t:s3cr3t", "admin:s3cr3t s3cr3t", "admin:@s3cr3t", "admin:/s3cr3t", "admin:#s3cr3t", "admin:%s3cr3t",
    "admin::s3cr3t", "admin: s3cr3t", "admin:s3cr3t@", "admin:s3cr3t/", "admin:s3cr3t#", "admin:s3cr3t%",
    "admin:s3cr3t:", "admin:s3cr3t?s3cr3t", "admin:s3cr3t@s/s#s%s:s s3cr3t", "admin:s3cr3t%40s3cr3t", "s3cr3t",
    "s3cr3t:", ":s3cr3t", "me@home.org:s3cr3t", "admin:s3cr3t'\"s3cr3t", "admin:s3cr3t&x=s3cr3t",
    "admin:s3cr3t\\s3cr3t", "admin:12/s3cr3t", "admin:s3cr3t.s3cr3t/s3cr3t", "admin:pässs3cr3t",
    "admin:s3cr3t,s3cr3t;s3cr3t",
)  # fmt: skip
"""What stands before the @ of the host."""

TAILS = (
    "/live/s3cr3t", "/app/s3cr3t?x=1", "/live/x/s3cr3t/y", "/user=admin_password=s3cr3t_channel=1_stream=0.sdp",
    "/user=admin&password=s3cr3t&channel=1", "/cam?loginuse=admin&loginpas=s3cr3t", "/a?access_token=s3cr3t",
    "/a?jwt=s3cr3t", "/a?X-Amz-Signature=s3cr3t&X-Amz-Date=1", "/a?token=s3cr3t", "/a?Signature=s3cr3t",
    "/a?sig=s3cr3t", "/a?sv=1&se=2&sp=r&sig=s3cr3t%3D", "/a?x=1#s3cr3t", "/a#access_token=s3cr3t", "?passphrase=s3cr3t",
    "?u=me,p=s3cr3t", "?streamid=#!::r=live,m=publish,u=me,p=s3cr3t", "?streamid=publish:live:me:s3cr3t&pkt_size=1316",
    "/a;jsessionid=s3cr3t", "/a?s3cr3t", "/a?user=me&pwd=s3cr3t",
    "/videostream.cgi?user=me&pwd=s3cr3t", "/a?key=s3cr3t", "/a?hash=s3cr3t&e=9",
    "/a?next=rtsp://admin:s3cr3t@host/x", "/a?mail=me@s3cr3t.org", "/a?password=s3cr3t s3cr3t@x", "/%73%33cr3t/s3cr3t",
    "/eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.s3cr3t", "/auth:s3cr3t@x/y", "/a//s3cr3t", "/a/b?c=d&e=s3cr3t&f=g",
)  # fmt: skip
"""What stands behind the host."""

SECRET = "s3cr3t"

FORMS = (
    *(f"rtsp://{login}@10.0.0.5:554/stream" for login in LOGINS),
    *(f"rtsp://{login}@camera/stream" for login in LOGINS if login != "admin:12/s3cr3t"),
    *(f"{scheme}://media.example.org{tail}" for tail in TAILS for scheme in ("rtmp", "https", "srt")),
    *(f"rtsp://{login}@[fe80::1]:554/live/s3cr3t?token=s3cr3t" for login in LOGINS[:7]),
)
"""Whole URLs; nothing of any of them that says SECRET may be told."""

MISSPELT = (
    "'rtsp://admin:s3cr3t@cam/1'", '"rtsp://admin:s3cr3t@cam/1"', " rtsp://admin:s3cr3t@cam/1", "<rtsp://s3cr3t@cam/1>",
    "rtsp:/admin:s3cr3t@cam/1", "rtsp:admin:s3cr3t@cam/1", "rtsp//admin:s3cr3t@cam/1", "rtsp;//admin:s3cr3t@cam/1",
    "rtsp:\\\\admin:s3cr3t@cam\\1", "rtsp :// admin:s3cr3t@cam/1", "rtsp%3A%2F%2Fadmin%3As3cr3t%40cam%2F1",
    "rtsp:/cam/1?user=admin&password=s3cr3t", "10.0.0.5/cgi?pwd=s3cr3t", "admin:s3cr3t@10.0.0.5:554/1",
    "admin1:s3cr3t@cam", "://admin:s3cr3t@cam/1", "//admin:s3cr3t@cam/1", "1rtsp://admin:s3cr3t@cam/1",
    "r_tsp://admin:s3cr3t@cam/1", "ffmpeg:rtsp://admin:s3cr3t@cam/1", "exec:a -i rtsp://admin:s3cr3t@cam/1 -c copy",
    "concat:rtsp://admin:s3cr3t@cam/1|rtsp://admin:s3cr3t@cam/2",
)  # fmt: skip
"""What was meant for a URL, or holds one."""
