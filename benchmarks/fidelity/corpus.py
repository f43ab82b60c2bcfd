"""The files that are run through streamderain: of each what it is, how it is made, and into what it goes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from making import (
    AVC,
    BOTH,
    FIVE,
    SIGHT,
    SOUND,
    Step,
    captions,
    copied,
    cut,
    ffmpeg,
    hdr10_plus,
    laid,
    of_bytes,
    replaced,
    scratched,
    twice,
    with_messages,
    without_start,
)


@dataclass(frozen=True)
class Case:
    """A file: `name`, its theme, ffmpeg's arguments that make its `first` form, and `steps` from there, each with the
    ending of what it makes; the endings of its `outputs`; `options` of the run. `lossless` says that the pixels are to
    be equal; `reference` that it is compared with what `ffmpeg -c copy` makes of it; `fails` that the run may end with
    an error that says these words.
    """

    name: str
    theme: str
    first: str
    outputs: str
    steps: Sequence[tuple[str, Step]] = ()
    options: str = ""
    lossless: bool = False
    reference: bool = False
    fails: str = ""

    def make(self, folder: Path) -> Path:
        """Write the file."""
        final = folder / self.name
        with TemporaryDirectory() as temporary:
            names = [f"0.{each}" for each, _ in self.steps] or [self.name]
            made = Path(temporary) / (f"first{Path(names[0]).suffix}" if self.steps else self.name)
            if self.steps and "." in self.steps[0][0]:
                made = Path(temporary) / self.steps[0][0]
            _helpers(Path(temporary))
            if self.first:
                ffmpeg(self.first, made)
            for number, (ending, step) in enumerate(self.steps):
                following = Path(temporary) / f"{number}-step.{ending.rpartition('.')[2]}"
                if number + 1 == len(self.steps):
                    following = Path(temporary) / self.name
                step(made, following)
                made = following
            shutil.move(made, final)
        return final


def _helpers(folder: Path) -> None:
    """Files that others take in."""
    (folder / "words.srt").write_text("1\n00:00:00,100 --> 00:00:00,500\nIt rains.\n\n"
                                      "2\n00:00:00,600 --> 00:00:00,900\nStill.\n")  # fmt: skip
    (folder / "chapters.txt").write_text(
        ";FFMETADATA1\ntitle=Wet\nartist=Cloud\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=400\ntitle=Drizzle\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=400\nEND=1000\ntitle=Downpour\n"
    )
    (folder / "font.ttf").write_bytes(bytes(range(256)))
    (folder / "note.txt").write_text("what a rain\n")
    (folder / "klv.bin").write_bytes(bytes.fromhex("060e2b34020b01010e01030101000000") + bytes([4, 1, 2, 3, 4]))


def _one(name: str, theme: str, codec: str, outputs: str, sight: str = SIGHT, **more: object) -> Case:
    return Case(name, theme, f"{sight} {codec}", outputs, **more)  # type: ignore[arg-type]


def _pixels(pixel_format: str, name: str, codec: str, options: str = "--encoder ffv1", outputs: str = "mkv") -> Case:
    return Case(name, "pixels", f"{SIGHT} -pix_fmt {pixel_format} {codec}", outputs, options=options, lossless=True)


def _sound(name: str, codec: str, outputs: str) -> Case:
    # An AVI tells when pictures are decoded alone. Where they are reordered, ffprobe shows the first as late as that
    # takes, and its sound at once, which were together when the file was made; streamderain takes them for that.
    order = "-bf 0 " if name.endswith(".avi") else ""
    return Case(name, "sound", f"{BOTH} {AVC} {order}{codec}", outputs)


def _to(ending: str, arguments: str) -> tuple[str, Step]:
    return ending, copied(f"-i {{0}} {arguments}")


HDR = ("-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -color_primaries bt2020 -color_trc smpte2084 "
       "-colorspace bt2020nc -x265-params log-level=none:hdr10=1:max-cll=1000,400:"
       "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)")  # fmt: skip

CONTAINERS = [
    Case("h264-aac.mp4", "container", f"{BOTH} {AVC} -c:a aac", "mp4 mkv mov ts"),
    Case("h264-aac.mov", "container", f"{BOTH} {AVC} -c:a aac", "mov mp4"),
    Case("h264-aac.mkv", "container", f"{BOTH} {AVC} -c:a aac", "mkv mp4"),
    Case("h264-aac.ts", "container", f"{BOTH} {AVC} -c:a aac", "ts mp4 mkv"),
    Case("hevc-ac3.m2ts", "container",
         f"{BOTH} -c:v libx265 -x265-params log-level=none -c:a ac3 -mpegts_m2ts_mode 1", "m2ts mkv"),
    Case("h264-aac.flv", "container", f"{BOTH} {AVC} -c:a aac", "flv mp4"),
    Case("flv1-mp3.flv", "container", f"{BOTH} -c:v flv1 -q:v 2 -ar 44100 -c:a libmp3lame", "flv mkv"),
    Case("mpeg2-mp2.mpg", "container", f"{BOTH} -c:v mpeg2video -q:v 2 -bf 2 -c:a mp2", "mpg mkv"),
    Case("mpeg1-mp2.mpg", "container", f"{BOTH} -c:v mpeg1video -q:v 2 -c:a mp2 -f mpeg", "mpg mp4"),
    Case("dvd.vob", "container", f"{BOTH} -c:v mpeg2video -q:v 2 -c:a ac3 -f vob", "vob mkv"),
    Case("mpeg4-mp3.avi", "container", f"{BOTH} -c:v mpeg4 -q:v 2 -bf 2 -c:a libmp3lame", "avi mkv mp4"),
    Case("mjpeg-pcm.avi", "container", f"{BOTH} -c:v mjpeg -q:v 2 -c:a pcm_s16le", "avi mov"),
    Case("vp9-opus.webm", "container", f"{BOTH} -c:v libvpx-vp9 -crf 10 -b:v 0 -cpu-used 8 -c:a libopus", "webm mkv"),
    Case("vp8-vorbis.webm", "container", f"{BOTH} -c:v libvpx -crf 10 -b:v 1M -c:a libvorbis", "webm mkv"),
    Case("av1-opus.mp4", "container", f"{BOTH} -c:v libaom-av1 -cpu-used 8 -crf 20 -c:a libopus", "mp4 webm"),
    Case("theora-vorbis.ogv", "container", f"{BOTH} -c:v libtheora -q:v 9 -c:a libvorbis", "mkv ogv"),
    Case("wmv2-wma.wmv", "container", f"{BOTH} -c:v wmv2 -q:v 2 -c:a wmav2", "wmv mkv"),
    Case("mpeg2-pcm.mxf", "container",
         "-f lavfi -i testsrc2=s=96x64:r=25:d=1 -f lavfi -i sine=440:r=48000:d=1 -c:v mpeg2video -q:v 2 -c:a pcm_s16le",
         "mxf mov"),
    Case("h263-aac.3gp", "container",
         f"-f lavfi -i testsrc2=s=128x96:r=25:d=1 {SOUND} -c:v h263 -q:v 2 -c:a aac -ar 16000", "3gp mp4"),
    Case("h264-aac.3g2", "container", f"{BOTH} {AVC} -c:a aac", "3g2"),
    Case("h264-aac.m4v", "container", f"{BOTH} {AVC} -c:a aac", "m4v"),
    Case("mpeg4-mp3.nut", "container", f"{BOTH} -c:v mpeg4 -q:v 2 -c:a libmp3lame", "nut mkv"),
    _one("moving.gif", "container", "", "gif mp4", "-f lavfi -i testsrc2=s=96x64:r=10:d=1"),
    _one("raw.h264", "container", AVC, "mp4 mkv"),
    _one("raw.hevc", "container", "-c:v libx265 -x265-params log-level=none", "mp4 mkv"),
    _one("vp9.ivf", "container", "-c:v libvpx-vp9 -cpu-used 8", "mkv ivf"),
    _one("plain.y4m", "container", "", "mkv y4m"),
    _one("prores.mov", "container", "-c:v prores_ks", "mov mkv"),
    _one("dnxhd.mxf", "container", "-c:v dnxhd -profile:v dnxhr_hq -pix_fmt yuv422p", "mxf mov",
         "-f lavfi -i testsrc2=s=256x128:r=25:d=0.4"),
    _one("pal.dv", "container", "-pix_fmt yuv420p -c:v dvvideo", "mkv avi", "-f lavfi -i testsrc2=s=720x576:r=25:d=0.2"),
    _one("rv20.rm", "container", "-c:v rv20 -q:v 2", "mkv", "-f lavfi -i testsrc2=s=128x96:r=25:d=1"),
    _one("fragments.mp4", "container", f"{AVC} -movflags frag_keyframe+empty_moov+default_base_moof", "mp4 mkv"),
    _one("one-frame.mp4", "container", f"-frames:v 1 {AVC}", "mp4 mkv ts"),
]  # fmt: skip

CLOCKS = [
    Case("late.ts", "clock", f"{BOTH} {AVC} -c:a aac -output_ts_offset 36000", "mp4 mkv ts", reference=True),
    _one("late-silent.ts", "clock", f"{AVC} -output_ts_offset 36000", "mp4 mkv", reference=True),
    Case("wraps.ts", "clock", f"{BOTH} {AVC} -c:a aac -output_ts_offset 95442.5", "mp4 mkv", reference=True),
    _one("wraps-silent.ts", "clock", f"{AVC} -output_ts_offset 95442.5", "mp4 mkv", reference=True),
    Case("again.ts", "clock", f"{BOTH} {AVC} -c:a aac", "mp4 mkv ts", [("ts", twice)], reference=True),
    Case("again-silent.ts", "clock", f"{SIGHT} {AVC}", "mp4 mkv", [("ts", twice)], reference=True),
    Case("again.mpg", "clock", f"{BOTH} -c:v mpeg2video -q:v 2 -c:a mp2", "mp4 mkv", [("mpg", twice)], reference=True),
    Case("late.mkv", "clock", f"{BOTH} {AVC} -c:a aac -output_ts_offset 3600", "mp4 mkv", reference=True),
    Case("late.flv", "clock", f"{BOTH} {AVC} -c:a aac -output_ts_offset 3600", "mp4 mkv", reference=True),
    Case("late-fragments.mp4", "clock",
         f"{BOTH} {AVC} -c:a aac -movflags frag_keyframe+empty_moov -output_ts_offset 600", "mp4 mkv", reference=True),
    Case("uneven.mp4", "clock", f"{BOTH} -vf setpts='PTS+0.013*mod(N\\,3)/TB' -fps_mode vfr {AVC} -c:a aac", "mp4 mkv mov"),
    Case("uneven.mkv", "clock", f"{SIGHT} -vf select='not(mod(n\\,5))+lt(n\\,10)' -fps_mode vfr {AVC}", "mkv mp4"),
    Case("ntsc.mp4", "clock",
         f"-f lavfi -i testsrc2=s=96x64:r=30000/1001:d=1 {SOUND} {AVC} -c:a aac", "mp4 mkv ts avi"),
    _one("film.mkv", "clock", AVC, "mkv mp4", "-f lavfi -i testsrc2=s=96x64:r=24000/1001:d=1"),
    _one("fast.mp4", "clock", AVC, "mp4 mkv", "-f lavfi -i testsrc2=s=96x64:r=240:d=0.3"),
    _one("slides.mp4", "clock", f"-vf setpts=PTS*40 -fps_mode vfr {AVC}", "mp4 mkv ts", "-f lavfi -i testsrc2=s=96x64:r=2:d=4"),
    # The encoder holds back more seconds of these than a muxer waits for.
    Case("five-a-second.mkv", "clock", f"{FIVE} {AVC} -c:a aac", "mp4 mov mkv"),
    Case("five-with-pauses.mkv", "clock",
         f"{FIVE} -vf setpts='PTS+(1.7*gte(N\\,30)+0.33*gte(N\\,43))/TB' -fps_mode vfr {AVC} -c:a aac", "mp4 mov mkv"),
    Case("five-again.ts", "clock", f"{FIVE} {AVC} -c:a aac", "mp4 mkv", [("ts", twice)], reference=True),
    _one("units-of-600.mov", "clock", f"{AVC} -video_track_timescale 600", "mov mp4"),
    Case("edit-list.mp4", "clock", f"-f lavfi -i testsrc2=s=96x64:r=25:d=2 -f lavfi -i sine=440:r=48000:d=2 {AVC} -c:a aac",
         "mp4 mkv", [("mp4", copied("-ss 0.7 -i {0} -c copy"))]),
    Case("sound-late.mp4", "clock", f"{SIGHT} -itsoffset 0.4 {SOUND} {AVC} -c:a aac", "mp4 mkv"),
    Case("picture-late.mp4", "clock", f"-itsoffset 0.4 {SIGHT} {SOUND} {AVC} -c:a aac", "mp4 mkv"),
    Case("picture-late.mkv", "clock", f"-itsoffset 0.4 {SIGHT} {SOUND} {AVC} -c:a aac", "mkv mp4"),
    Case("sound-longer.mp4", "clock", f"{SIGHT} -f lavfi -i sine=440:r=48000:d=3 {AVC} -c:a aac", "mp4 mkv"),
    Case("sound-shorter.mkv", "clock", f"{SIGHT} -f lavfi -i sine=440:r=48000:d=0.4 {AVC} -c:a aac", "mp4 mkv"),
    _one("no-times.avi", "clock", f"{AVC} -bf 0", "mp4 mkv avi"),
    Case("reordered.avi", "clock", f"{SIGHT} {AVC}", "mp4 mkv"),
    Case("deep-reordering.mkv", "clock", f"{BOTH} -c:v libx264 -bf 8 -b_strategy 0 -x264-params open-gop=1 -g 10 -c:a aac", "mkv mp4"),
]  # fmt: skip

TAGS = [
    *(Case(f"laid-{name}.{ending}", "tags", f"{SIGHT} {AVC}", "mp4 mkv mov", [(ending, laid(*matrix))])
      for name, ending, matrix in (("left", "mp4", (0, -1, 1, 0)), ("right", "mov", (0, 1, -1, 0)),
                                   ("over", "mp4", (-1, 0, 0, -1)), ("mirrored", "mp4", (-1, 0, 0, 1)),
                                   ("upside-down", "mov", (1, 0, 0, -1)), ("swapped", "mp4", (0, 1, 1, 0)))),
    Case("mirrored.mp4", "tags", f"{SIGHT} {AVC}", "avi webm", [("mp4", laid(-1, 0, 0, 1))]),
    _one("anamorphic.mp4", "tags", f"-vf setsar=16/11 {AVC}", "mp4 mkv mov ts"),
    _one("anamorphic.avi", "tags", "-vf setsar=16/11 -c:v mpeg4 -q:v 2", "avi mkv"),
    _one("chroma-center.mp4", "tags", f"{AVC} -chroma_sample_location center", "mp4 mkv"),
    _one("chroma-topleft.mkv", "tags", f"{AVC} -chroma_sample_location topleft", "mkv mp4"),
    _one("hdr10.mp4", "tags", HDR, "mp4 mkv", options="--encoder libx265"),
    _one("hdr10.mkv", "tags", HDR, "mkv mp4", options="--encoder ffv1", lossless=True),
    _one("hlg.mp4", "tags",
         "-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p10le -color_primaries bt2020 -color_trc arib-std-b67 "
         "-colorspace bt2020nc", "mp4 mov"),
    *(_one(f"{name}-{span}.mp4", "tags",
           f"-vf scale=out_color_matrix={scale}:out_range={span} -pix_fmt yuv420p {AVC} -color_range {span} -colorspace {space} "
           f"-color_primaries {primaries} -color_trc {trc}", "mp4 mkv")
      for name, scale, space, primaries, trc in (("bt601", "bt601", "smpte170m", "smpte170m", "smpte170m"),
                                                 ("bt709", "bt709", "bt709", "bt709", "bt709"),
                                                 ("bt2020", "bt2020", "bt2020nc", "bt2020", "bt2020-10"),
                                                 ("smpte240m", "smpte240m", "smpte240m", "smpte240m", "smpte240m"),
                                                 ("fcc", "fcc", "fcc", "bt470m", "gamma22"))
      for span in ("tv", "pc")),
    _one("untagged.mkv", "tags", f"{AVC} -pix_fmt yuv420p", "mkv mp4"),
    _one("top-first.mp4", "tags", f"-vf setfield=tff {AVC} -flags +ilme+ildct -x264-params tff=1", "mp4 mkv ts"),
    _one("bottom-first.mp4", "tags", f"-vf setfield=bff {AVC} -flags +ilme+ildct -x264-params bff=1", "mp4 mkv"),
    _one("interlaced.mpg", "tags", "-vf setfield=tff -c:v mpeg2video -q:v 2 -flags +ilme+ildct", "mpg mkv"),
    _one("interlaced-prores.mov", "tags", "-vf setfield=tff -c:v prores_ks -flags +ilme+ildct", "mov"),
    Case("captions.mp4", "tags", f"{SIGHT} {AVC} -bf 0", "mp4 mkv ts",
         [("h264", with_messages(4, captions)), _to("mp4", "-c copy")]),
    Case("user-data.mp4", "tags", f"{SIGHT} {AVC} -bf 0", "mp4 mkv",
         [("h264", with_messages(5, lambda number: b"of another maker" + b"drone %d" % number)), _to("mp4", "-c copy")]),
    Case("hdr10-plus.mkv", "tags", f"{SIGHT} {HDR} -bf 0", "mkv mp4",
         [("hevc", with_messages(4, hdr10_plus, hevc=True)), _to("mkv", "-c copy")], options="--encoder libx265"),
    _one("stereo.mkv", "tags", f"{AVC} -x264-params frame-packing=3", "mkv mp4"),
    _one("stereo-by-tag.mkv", "tags", f"{AVC} -metadata:s:v stereo_mode=left_right", "mkv mp4"),
    _one("gop-timecode.mpg", "tags", "-c:v mpeg2video -q:v 2 -timecode 01:02:03:04", "mpg mkv"),
    _one("odd.mkv", "tags", "-c:v ffv1", "mkv mp4 webm", "-f lavfi -i testsrc2=s=95x63:r=25:d=1"),
    _one("odd.webm", "tags", "-c:v libvpx-vp9 -cpu-used 8", "webm mp4", "-f lavfi -i testsrc2=s=95x63:r=25:d=1"),
    _one("odd-wide.avi", "tags", "-c:v huffyuv -pix_fmt yuv422p", "avi mov", "-f lavfi -i testsrc2=s=94x63:r=25:d=1"),
]  # fmt: skip

PIXELS = [
    _pixels("yuv420p", "8-bit.mkv", "-c:v ffv1"),
    _pixels("yuv420p", "8-bit-x264.mkv", "-c:v libx264 -qp 0", "--encoder libx264 --set crf=null --encoder-option qp=0", "mkv mp4"),
    _pixels("yuvj420p", "full-range.avi", "-c:v mjpeg -q:v 2"),
    _pixels("yuv422p", "422.avi", "-c:v huffyuv", "--encoder utvideo", "avi mkv"),
    _pixels("yuv411p", "411.mkv", "-c:v ffv1"),
    _pixels("yuv410p", "410.mkv", "-c:v ffv1"),
    _pixels("yuv440p", "440.mkv", "-c:v ffv1"),
    _pixels("yuv444p", "444.mp4", "-c:v libx264 -qp 0", "--encoder libx264 --set crf=null --encoder-option qp=0", "mp4"),
    _pixels("yuv420p10le", "10-bit.mkv", "-c:v ffv1 -level 3"),
    _pixels("yuv422p10le", "422-10.mov", "-c:v prores_ks"),
    _pixels("yuv422p12le", "422-12.mkv", "-c:v ffv1 -level 3"),
    _pixels("yuv420p16le", "16-bit.mkv", "-c:v ffv1 -level 3"),
    _pixels("yuv444p16le", "444-16.mkv", "-c:v ffv1 -level 3"),
    _pixels("gray", "gray.mkv", "-c:v ffv1"),
    _pixels("gray10le", "gray-10.mkv", "-c:v ffv1 -level 3"),
    _pixels("gray16le", "gray-16.mkv", "-c:v ffv1 -level 3"),
    _pixels("gbrp", "gbr.mkv", "-c:v ffv1"),
    _pixels("gbrp10le", "gbr-10.mkv", "-c:v ffv1 -level 3"),
    _pixels("gbrp16le", "gbr-16.mkv", "-c:v ffv1 -level 3"),
    _pixels("rgb24", "rgb-x264.mp4", "-c:v libx264rgb -qp 0", "--encoder libx264rgb --set crf=null --encoder-option qp=0", "mp4 mkv"),
    _pixels("rgb24", "rgb-raw.avi", "-c:v rawvideo"),
    _pixels("rgb555le", "rgb-555.avi", "-c:v rawvideo"),
    _pixels("rgb24", "rle.mov", "-c:v qtrle"),
    _pixels("rgb48be", "rgb-48.mov", "-c:v png"),
    _pixels("rgba", "alpha.mov", "-c:v png"),
    _pixels("bgra", "alpha.mkv", "-c:v ffv1"),
    _pixels("yuva420p", "alpha-420.mkv", "-c:v ffv1"),
    _pixels("yuva444p10le", "alpha-444-10.mkv", "-c:v ffv1 -level 3"),
    _pixels("pal8", "palette.mov", "-c:v png"),
    _pixels("monow", "one-bit.mov", "-c:v png"),
    _pixels("ya8", "gray-alpha.mov", "-c:v png"),
    Case("glass.webm", "pixels", "-f lavfi -i testsrc2=s=96x64:r=25:d=1,format=yuva420p -c:v libvpx-vp9 -cpu-used 8",
         "webm mkv mp4"),
    Case("glass.mov", "pixels", "-f lavfi -i testsrc2=s=96x64:r=25:d=1:alpha=128 -pix_fmt yuva444p10le -c:v prores_ks "
         "-profile:v 4444", "mp4 mov webm"),
    _one("into-gif.mp4", "pixels", AVC, "gif", "-f lavfi -i testsrc2=s=96x64:r=50:d=0.5"),
    _one("ten-bits.mp4", "pixels", "-c:v libx264 -pix_fmt yuv420p10le -crf 12", "mp4 mkv webm avi"),
    _one("422-ten.mp4", "pixels", "-c:v libx264 -pix_fmt yuv422p10le -crf 12", "mp4 mov ts"),
    _one("rgb.mp4", "pixels", "-c:v libx264rgb -crf 10", "mp4 mkv"),
]  # fmt: skip

SOUNDS = [
    _sound("mulaw.mkv", "-ar 8000 -c:a pcm_mulaw", "mkv mov avi mp4"),
    _sound("alaw.mov", "-ar 8000 -c:a pcm_alaw", "mov mkv"),
    _sound("adpcm-ms.avi", "-c:a adpcm_ms", "avi mkv"),
    _sound("adpcm-ima.avi", "-c:a adpcm_ima_wav", "avi mkv"),
    _sound("adpcm-qt.mov", "-c:a adpcm_ima_qt", "mov mkv"),
    _sound("ac3.mp4", "-c:a ac3", "mp4 mkv mov ts"),
    _sound("eac3.mkv", "-c:a eac3", "mkv mp4 ts"),
    _sound("dts.mkv", "-c:a dca -strict -2", "mkv mp4 ts"),
    _sound("truehd.mkv", "-c:a truehd -strict -2", "mkv mp4"),
    _sound("opus.mkv", "-c:a libopus", "mkv mp4 ts"),
    _sound("vorbis.mkv", "-c:a libvorbis", "mkv mp4"),
    _sound("flac.mkv", "-c:a flac", "mkv mp4"),
    _sound("alac.mov", "-c:a alac", "mov mp4 mkv"),
    _sound("mp3.mp4", "-c:a libmp3lame", "mp4 mkv avi"),
    _sound("mp2.ts", "-c:a mp2", "ts mkv mp4"),
    _sound("pcm-be.mov", "-c:a pcm_s16be", "mov mkv"),
    _sound("pcm-24.mkv", "-c:a pcm_s24le", "mkv mov"),
    _sound("pcm-float.mov", "-c:a pcm_f32le", "mov mkv"),
    _sound("pcm-u8.avi", "-c:a pcm_u8", "avi mkv"),
    _sound("s302m.ts", "-ac 2 -c:a s302m -strict -2", "ts mkv"),
    _sound("tta.mkv", "-c:a tta", "mkv mp4"),
    _sound("wavpack.mkv", "-c:a wavpack", "mkv mp4"),
    _sound("surround.mp4", "-af pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0 -c:a aac", "mp4 mkv"),
    Case("two-languages.mkv", "sound",
         f"{BOTH} -f lavfi -i sine=880:r=48000:d=1 -map 0 -map 1 -map 2 {AVC} -c:a:0 aac -c:a:1 libopus "
         "-metadata:s:a:0 language=deu -metadata:s:a:1 language=jpn -metadata:s:a:1 title=Commentary "
         "-disposition:a:0 default -disposition:a:1 comment", "mkv mp4 mov"),
    Case("five-tracks.mp4", "sound",
         f"{BOTH} -map 0 -map 1 -map 1 -map 1 -map 1 -map 1 {AVC} -c:a aac -metadata:s:a:3 language=fra", "mp4 mkv ts"),
    Case("sound-pauses.mkv", "sound", f"{SIGHT} -f lavfi -i sine=440:r=48000:d=1,aselect='not(between(t\\,0.3\\,0.6))' "
         f"{AVC} -c:a flac", "mkv mp4"),
]  # fmt: skip

EXTRAS = [
    Case("subtitles.mp4", "extras", f"{BOTH} -i {{dir}}/words.srt {AVC} -c:a aac -c:s mov_text -metadata:s:s language=eng",
         "mp4 mkv mov"),
    Case("subtitles.mkv", "extras", f"{BOTH} -i {{dir}}/words.srt {AVC} -c:a aac -c:s srt -metadata:s:s language=fra "
         "-disposition:s:0 forced", "mkv mp4 webm"),
    Case("styled.mkv", "extras", f"{BOTH} -i {{dir}}/words.srt {AVC} -c:a aac -c:s ass -attach {{dir}}/font.ttf "
         "-metadata:s:t mimetype=application/x-truetype-font", "mkv mp4"),
    Case("webvtt.webm", "extras", f"{SIGHT} -i {{dir}}/words.srt -c:v libvpx-vp9 -cpu-used 8 -c:s webvtt", "webm mkv"),
    Case("note.mkv", "extras", f"{SIGHT} {AVC} -attach {{dir}}/note.txt -metadata:s:t mimetype=text/plain", "mkv mp4"),
    Case("chapters.mp4", "extras", f"{BOTH} -i {{dir}}/chapters.txt -map_metadata 2 {AVC} -c:a aac", "mp4 mkv mov avi"),
    Case("chapters.mkv", "extras", f"{BOTH} -i {{dir}}/chapters.txt -map_metadata 2 {AVC} -c:a aac", "mkv mp4 webm"),
    Case("cover.mp4", "extras",
         f"{BOTH} -f lavfi -i color=red:s=32x32:d=0.04 -map 0 -map 1 -map 2 {AVC} -bf 0 -c:a aac -c:v:1 mjpeg "
         "-disposition:v:1 attached_pic", "mp4 mkv mov avi"),
    Case("cover.mkv", "extras", f"{SIGHT} -f lavfi -i color=red:s=32x32:d=0.04 -map 0 {AVC}", "mkv mp4",
         [("first.mkv", lambda source, target: _attach_cover(source, target))]),
    Case("two-pictures.mkv", "extras",
         f"{SIGHT} -f lavfi -i mandelbrot=s=64x64:r=25 -t 1 -map 0 -map 1 {AVC}", "mkv mp4 ts webm"),
    Case("tags.mp4", "extras", f"{SIGHT} {AVC} -metadata title=Wet -metadata artist=Cloud -metadata comment=pours "
         "-metadata date=2024 -metadata genre=weather -metadata:s:v language=nor", "mp4 mkv mov webm avi"),
    Case("tags.mkv", "extras", f"{SIGHT} {AVC} -metadata title=Wet -metadata DIRECTOR=Cloud -metadata weather=rain "
         "-metadata:s:v title=Street", "mkv mp4 mov"),
    Case("phone.mov", "extras", f"{SIGHT} {AVC} -movflags use_metadata_tags -metadata com.apple.quicktime.make=Nobody "
         "-metadata com.apple.quicktime.location.ISO6709=+00.0000+000.0000/ -metadata creation_time=2024-01-02T03:04:05Z",
         "mov mp4 mkv"),
    Case("where.mp4", "extras", f"{SIGHT} {AVC} -metadata location=+00.0000+000.0000/", "mp4 mov mkv"),
    Case("timecode.mov", "extras", f"{SIGHT} {AVC} -timecode 01:02:03:04", "mov mp4 mkv"),
    Case("timecode.mxf", "extras", f"{SIGHT} -c:v mpeg2video -q:v 2 -timecode 01:02:03:04", "mxf mov"),
    Case("data.ts", "extras", f"{BOTH} -f data -i {{dir}}/klv.bin -map 0 -map 1 -map 2 {AVC} -c:a aac -c:d copy", "ts mp4 mkv"),
    Case("latin-1.avi", "extras", f"{SIGHT} -c:v mpeg4 -q:v 2 -metadata title=Gruesse!", "avi mkv mp4",
         [("avi", replaced(b"Gruesse!", b"Gr\xfc\xdfe! X"))]),
    Case("latin-1.mp4", "extras", f"{SIGHT} {AVC} -metadata title=Gruesse!", "mp4 mkv",
         [("mp4", replaced(b"Gruesse!", b"Gr\xfc\xdfe! X"))]),
    Case("latin-1.mkv", "extras", f"{SIGHT} {AVC} -metadata:s:v title=Gruesse!", "mkv mp4",
         [("mkv", replaced(b"Gruesse!", b"Gr\xfc\xdfe! X"))]),
    Case("program.ts", "extras", f"{BOTH} {AVC} -c:a aac -metadata service_name=Rain -metadata service_provider=Sky "
         "-metadata:s:a language=swe", "ts mp4"),
]  # fmt: skip

BROKEN = [
    Case("cut.mp4", "broken", f"{BOTH} {AVC} -c:a aac -movflags faststart", "mp4 mkv", [("mp4", cut(0.6))],
         fails="ends after"),
    Case("cut.mkv", "broken", f"{BOTH} {AVC} -c:a aac", "mkv", [("mkv", cut(0.6))], fails="ends after"),
    Case("cut.avi", "broken", f"{BOTH} -c:v mpeg4 -q:v 2 -c:a libmp3lame", "mkv", [("avi", cut(0.6))], fails="ends after"),
    Case("cut.ts", "broken", f"{BOTH} {AVC} -c:a aac", "mkv mp4", [("ts", cut(0.6))]),
    Case("index-behind.mp4", "broken", f"{BOTH} {AVC} -c:a aac", "mp4", [("mp4", cut(0.6))], fails="cannot be opened"),
    Case("mid-picture.ts", "broken", f"{BOTH} {AVC} -c:a aac", "mkv mp4", [("ts", without_start(0.3))]),
    Case("mid-picture.mpg", "broken", f"{BOTH} -c:v mpeg2video -q:v 2 -c:a mp2", "mkv", [("mpg", without_start(0.3))]),
    Case("scratched.ts", "broken", f"{BOTH} {AVC} -c:a aac", "mkv mp4", [("ts", scratched(997))]),
    Case("scratched.mp4", "broken", f"{BOTH} {AVC} -c:a aac -movflags faststart", "mp4 mkv", [("mp4", scratched(997))]),
    Case("scratched.mkv", "broken", f"{BOTH} {AVC} -c:a aac", "mkv", [("mkv", scratched(997))]),
    Case("empty.mp4", "broken", "", "mp4", [("mp4", of_bytes(b""))], fails="cannot be opened"),
    Case("words.mp4", "broken", "", "mp4", [("mp4", of_bytes(b"It rains. " * 99))], fails="cannot be opened"),
    Case("sound-only.mp4", "broken", f"{SOUND} -c:a aac", "mp4", fails="holds no video, only audio"),
]  # fmt: skip

CASES = [*CONTAINERS, *CLOCKS, *TAGS, *PIXELS, *SOUNDS, *EXTRAS, *BROKEN]


def _attach_cover(source: Path, target: Path) -> None:
    cover = target.with_name("cover.jpg")
    ffmpeg("-f lavfi -i color=red:s=32x32:d=0.04 -frames:v 1", cover)
    ffmpeg(f"-i {{0}} -c copy -attach {cover} -metadata:s:t mimetype=image/jpeg -metadata:s:t filename=cover.jpg",
           target, source)  # fmt: skip
