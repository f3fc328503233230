"""How the report looks: colours by name for light and dark, and the rules that use them.

Text keeps a contrast of 4.5 to 1 with whatever it stands on, lines and signs 3 to 1 (WCAG AA); a test measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["DARK", "LIGHT", "STYLE"]

LIGHT: Final[Mapping[str, str]] = {
    "paper": "#ffffff",
    "card": "#f5f6f8",
    "ink": "#1c2128",
    "muted": "#545d68",
    "line": "#d5d9df",
    "canary": "#b04a00",
    "primary": "#2f5fb3",
    "good": "#14713a",
    "bad": "#b3231c",
    "warn": "#7d5400",
    "good-tint": "#e4f4e9",
    "bad-tint": "#fbe7e5",
    "warn-tint": "#fbf0d7",
    "none-tint": "#e9ebef",
}
DARK: Final[Mapping[str, str]] = {
    "paper": "#0f1318",
    "card": "#181d24",
    "ink": "#e6e9ee",
    "muted": "#a4aebb",
    "line": "#343c47",
    "canary": "#f5a65b",
    "primary": "#8fb4ff",
    "good": "#63d490",
    "bad": "#ff8f86",
    "warn": "#f0c35e",
    "good-tint": "#112d1d",
    "bad-tint": "#3a1a18",
    "warn-tint": "#33290f",
    "none-tint": "#262d36",
}


def _named(colours: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


_RULES: Final = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:24px 20px 48px;max-width:1000px;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .25rem}
h1 small{display:block;font-size:.9375rem;font-weight:500;color:var(--muted);margin-bottom:.25rem}
h2{font-size:1.25rem;margin:2.5rem 0 .5rem;padding-top:1.25rem;border-top:1px solid var(--line)}
h3{font-size:1.0625rem;margin:1.75rem 0 .25rem}
p{margin:.5rem 0}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.muted{color:var(--muted)}
.note{border-left:4px solid var(--primary);background:var(--card);padding:.5rem .75rem;margin:.75rem 0}
.lead{font-size:1.125rem;margin:.5rem 0 1rem}
.badge{display:inline-block;padding:.05em .6em;border-radius:1em;border:1.5px solid;font-weight:650;white-space:nowrap}
.badge.small{font-size:.8125rem;border-width:1px;padding:0 .55em}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
.badge.good{background:var(--good-tint)}.badge.bad{background:var(--bad-tint)}.badge.warn{background:var(--warn-tint)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.5rem 1.25rem;margin:1rem 0;
padding:.75rem 1rem;background:var(--card);border-radius:8px}
.facts div{min-width:0}
dt{font-size:.8125rem;color:var(--muted)}
dd{margin:0;font-weight:550}
dd code{font-weight:500}
figure{margin:.5rem 0 1rem;break-inside:avoid}
figcaption{font-size:.8125rem;color:var(--muted);margin-bottom:.25rem}
figcaption ul{list-style:none;margin:.125rem 0 0;padding:0;display:flex;flex-wrap:wrap;gap:0 1.25rem}
.plot{padding:0 14px 0 46px}
.key{display:inline-block;width:26px;height:10px;margin-right:.4em;vertical-align:middle;overflow:visible}
svg{overflow:visible}
svg.chart{display:block}
svg text{font-size:12px;fill:var(--ink)}
svg .tick{fill:var(--muted);font-size:11.5px}
svg path{fill:none}
.grid{stroke:var(--line)}.axis{stroke:var(--muted)}
.step{stroke:var(--muted);stroke-dasharray:1 3}
.area{fill:var(--canary)!important;fill-opacity:.14}
.canary,.worse,.fine,.primary{stroke-width:2;stroke-linejoin:round}
.canary{stroke:var(--canary)}
.primary{stroke:var(--primary);stroke-dasharray:6 4}
.worse{stroke:var(--bad)}
.fine{stroke:var(--good);stroke-dasharray:7 3}
.bar{stroke:none!important}.bar.canary{fill:var(--canary)}.bar.primary{fill:var(--primary)}
.band.good{fill:var(--good-tint)}.band.bad{fill:var(--bad-tint)}
svg .in{font-weight:600;paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
svg .in.good{stroke:var(--good-tint)}svg .in.bad{stroke:var(--bad-tint)}
svg .in.good,svg .number.good{fill:var(--good)}svg .in.bad,svg .number.bad{fill:var(--bad)}
svg .number{font-size:11px;font-weight:650}svg .number.warn{fill:var(--warn)}
.disc{stroke-width:1.5}
.disc.good{fill:var(--good-tint);stroke:var(--good)}.disc.bad{fill:var(--bad-tint);stroke:var(--bad)}
.disc.warn{fill:var(--warn-tint);stroke:var(--warn)}.disc.none{fill:var(--none-tint);stroke:var(--muted)}
.sign{stroke:var(--muted);stroke-dasharray:2 3}
.sign.good{stroke:var(--good)}.sign.bad{stroke:var(--bad)}.sign.warn{stroke:var(--warn)}
.bake{fill:var(--canary)}
.held,.held-on{fill:url(#hatch)}.held-on{fill-opacity:.35}
.held{stroke:var(--warn)}
.cut{fill:url(#gap)}
.hatch{stroke:var(--warn);stroke-width:2.5}
.gap{stroke:var(--line);stroke-width:2}
.dot{stroke-width:2}
svg .dot.good{fill:var(--good)}.dot.bad{stroke:var(--bad)}svg .dot.warn{fill:var(--warn)}
.dot.none{stroke:var(--muted)}svg .dot.plain{fill:var(--canary)}
.signs{margin:.25rem 0 0;padding-left:1.75rem;font-size:.9375rem}
.signs li::marker{font-weight:650}
.verdicts{list-style:none;margin:.5rem 0;padding:0}
.verdicts li{padding:.25rem 0 .25rem 4.25rem;text-indent:-4.25rem}
.verdicts li>*{text-indent:0}
.at{display:inline-block;width:4.25rem;font-weight:600}
table{border-collapse:collapse;width:100%;font-size:.9375rem}
th,td{padding:.4rem .75rem .4rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{font-size:.8125rem;color:var(--muted);font-weight:600;white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.stack td:is([data-head=UTC],[data-head=What],[data-head=Weight],[data-head=Seen],[data-head=Watched],
[data-head=Held],[data-head=Verdict],[data-head=Order]){white-space:nowrap}
td time{white-space:nowrap;font-variant-numeric:tabular-nums}
td ul{margin:0;padding-left:1rem}
.wide{overflow-x:auto}
.wide table{font-size:.8125rem}.wide th,.wide td{padding:.25rem .6rem .25rem 0}.wide th{white-space:normal}
caption{text-align:left;font-size:.8125rem}
.wide:focus-visible,summary:focus-visible{outline:2px solid var(--primary);outline-offset:2px}
summary{cursor:pointer;color:var(--primary);font-size:.9375rem;padding:.35rem 0}
footer{margin-top:3rem;font-size:.8125rem;color:var(--muted)}
.aside{position:absolute;width:0;height:0}
@media (max-width:640px){
body{padding:16px 14px 32px}
h1{font-size:1.5rem}
.facts{grid-template-columns:1fr 1fr;gap:.5rem .75rem}
.stack,.stack tbody,.stack tr,.stack td{display:block;width:100%}
.stack thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
.stack tr{padding:.6rem 0;border-bottom:1px solid var(--line)}
.stack td{border:0;padding:.1rem 0;text-align:left}
.stack td[data-head]::before{content:attr(data-head) " ";color:var(--muted);font-size:.8125rem;font-weight:600}
.verdicts li{padding-left:0;text-indent:0}
}
@media print{
html{color-scheme:light}
body{max-width:none;padding:0;font-size:11pt}
h2{break-after:avoid}h3{break-after:avoid}
tr,.facts,.verdicts li{break-inside:avoid}
summary{display:none}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""

STYLE: Final = (
    f":root{{{_named(LIGHT)}}}\n"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_named(DARK)}}}}}{_RULES}"
)
