"""The page at `/`: type a text, see labels, shares and milliseconds. One file; nothing is fetched from elsewhere."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape

from parsimony.serving.served import Served

# The colours and fonts of the report page (parsimony.reporting.style), which lies above this room; a test holds them together.
PALETTE = """:root{color-scheme:light dark;
--paper:#fcfbf8;--raised:#f4f2ec;--ink:#1d1c1a;--muted:#68645c;--rule:#ddd8cd;
--pass:#1f7550;--fail:#b3372c;--open:#8a5d00;--reference:#2f66a8;--tint:#eaf3ee;
--serif:"Iowan Old Style","Palatino Linotype",Palatino,"Book Antiqua",Georgia,serif;
--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
--mono:ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace}
@media (prefers-color-scheme:dark){:root{
--paper:#151513;--raised:#1e1e1b;--ink:#ebe8e1;--muted:#a6a094;--rule:#36342f;
--pass:#63c598;--fail:#f0877b;--open:#e0ae55;--reference:#82b1ea;--tint:#1a2b23}}
"""
CSS = f"""{PALETTE}*{{box-sizing:border-box}}
body{{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 var(--sans)}}
main{{max-width:46rem;margin:0 auto;padding:clamp(1.25rem,4vw,3.5rem) clamp(1rem,4vw,2.5rem) 4rem}}
h1{{font:500 clamp(1.35rem,2.8vw,1.95rem)/1.28 var(--serif);margin:.2rem 0 .7rem;overflow-wrap:anywhere}}
.about{{color:var(--muted);font-size:.9rem;margin:0;overflow-wrap:anywhere}}
code{{font-family:var(--mono);font-size:.86em}}
label{{display:block;font-weight:600;font-size:.9rem;margin:2rem 0 .4rem}}
textarea,input{{width:100%;font:inherit;color:inherit;background:var(--raised);border:1px solid var(--rule);border-radius:4px;padding:.7rem .8rem}}
textarea{{min-height:6.5rem;resize:vertical}}
:focus-visible{{outline:2px solid var(--reference);outline-offset:2px}}
#said{{min-height:1.6rem;margin:1.4rem 0 .6rem;font:500 1.45rem/1.25 var(--serif);overflow-wrap:anywhere}}
#said.wrong{{color:var(--fail);font:1rem/1.5 var(--sans)}}
ol{{list-style:none;margin:0;padding:0}}
li{{display:grid;grid-template-columns:minmax(7rem,15rem) 1fr 4.2rem;gap:.2rem 1rem;align-items:center;padding:.5rem 0;border-bottom:1px solid var(--rule);font-size:.9rem}}
li span:first-child{{overflow-wrap:anywhere}}
li span:last-child{{text-align:right;font-variant-numeric:tabular-nums}}
meter{{width:100%;height:.7rem;appearance:none;background:none;border:0}}
meter::-webkit-meter-bar{{background:var(--raised);border:0;border-radius:1px;height:.5rem}}
meter::-webkit-meter-optimum-value{{background:var(--reference)}}
meter::-moz-meter-bar{{background:var(--reference)}}
#time{{color:var(--muted);font-size:.9rem;margin:.9rem 0 0;font-variant-numeric:tabular-nums}}
@media (max-width:40rem){{li{{grid-template-columns:1fr 4.2rem}}meter{{grid-row:2;grid-column:1/-1}}}}
"""
SCRIPT = """
const text = document.getElementById("text"), said = document.getElementById("said"), list = document.getElementById("shares");
const time = document.getElementById("time"), token = document.getElementById("token");
const MOST = 8;
let last = 0;
async function ask() {
  const number = ++last, headers = {"content-type": "application/json"};
  if (!text.value.trim()) { said.textContent = time.textContent = ""; list.replaceChildren(); return; }
  if (token && token.value) headers.authorization = "Bearer " + token.value;
  const start = performance.now();
  let response, value;
  try {
    response = await fetch("predict", {method: "POST", headers, body: JSON.stringify({inputs: text.value})});
    value = await response.json();
  } catch (error) { return wrong("the server does not respond"); }
  const whole = performance.now() - start;
  if (number !== last) return;
  if (!response.ok) return wrong(value.error || value.message);
  said.className = ""; said.textContent = value[0].label;
  list.replaceChildren(...value.slice(0, MOST).map(row));
  const inside = Number((response.headers.get("server-timing") || "").split("dur=")[1]);
  time.textContent = inside.toFixed(2) + " ms in the server, " + whole.toFixed(1) + " ms with the way there and back; version "
    + response.headers.get("x-parsimony-version") + (value.length > MOST ? "; " + (value.length - MOST) + " more labels" : "");
}
function wrong(message) { said.className = "wrong"; said.textContent = message; list.replaceChildren(); time.textContent = ""; }
function row(each) {
  const item = document.createElement("li"), name = document.createElement("span"), share = document.createElement("span");
  const bar = document.createElement("meter");
  name.textContent = each.label; share.textContent = each.score.toFixed(3); bar.value = each.score; bar.ariaLabel = each.label;
  item.append(name, bar, share);
  return item;
}
let waiting;
text.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(ask, 120); });
const given = new URLSearchParams(location.search).get("text");
if (given) { text.value = given; ask(); }
"""


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


# The page runs this script and shows this style, and nothing that a text could smuggle in.
HEADERS = (
    (
        b"content-security-policy",
        f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(CSS)}; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'".encode(),
    ),
    (b"referrer-policy", b"no-referrer"),
)


def html(served: Served, *, has_token: bool) -> bytes:
    """Return the page for a bundle."""
    megabytes = f"{served.size_bytes / 1e6:,.2f} MB"
    token = (
        '<label for="token">Token</label>\n<input id="token" type="password" autocomplete="off">\n' if has_token else ""
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(served.name)} · Parsimony</title>
<style>{CSS}</style>
</head>
<body>
<main>
<p class="about">Parsimony serves</p>
<h1>{escape(served.name)}</h1>
<p class="about">version {escape(served.version)} · {len(served.labels)} labels · {megabytes} · digest <code>{served.digest[:12]}</code></p>
{token}<label for="text">Text</label>
<textarea id="text" autofocus placeholder="Type a text"></textarea>
<p id="said" role="status"></p>
<ol id="shares"></ol>
<p id="time"></p>
</main>
<script>{SCRIPT}</script>
</body>
</html>
""".encode()
