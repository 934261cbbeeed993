"""The style sheet of the HTML report: system fonts, two grounds, no address."""

CSS = """
:root{color-scheme:light dark;
--paper:#fcfbf8;--raised:#f4f2ec;--ink:#1d1c1a;--muted:#68645c;--rule:#ddd8cd;
--pass:#1f7550;--fail:#b3372c;--open:#8a5d00;--reference:#2f66a8;--tint:#eaf3ee;
--serif:"Iowan Old Style","Palatino Linotype",Palatino,"Book Antiqua",Georgia,serif;
--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
--mono:ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace}
@media (prefers-color-scheme:dark){:root{
--paper:#151513;--raised:#1e1e1b;--ink:#ebe8e1;--muted:#a6a094;--rule:#36342f;
--pass:#63c598;--fail:#f0877b;--open:#e0ae55;--reference:#82b1ea;--tint:#1a2b23}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 var(--sans)}
main{max-width:76rem;margin:0 auto;padding:clamp(1.25rem,4vw,3.5rem) clamp(1rem,4vw,2.5rem) 4rem}
h1,h2{font-family:var(--serif);font-weight:500;text-wrap:balance}
h1{font-size:clamp(1.35rem,2.8vw,1.95rem);line-height:1.28;margin:.9rem 0 .7rem;overflow-wrap:anywhere}
h2{font-size:1.45rem;line-height:1.25;margin:3.6rem 0 .35rem}
h3{font-size:.8rem;font-weight:600;letter-spacing:.04em;margin:1.8rem 0 .5rem;color:var(--muted)}
p{margin:.35rem 0 1rem;max-width:44rem}
.lead,.about,.note,figcaption{color:var(--muted)}
.lead{font-size:1.05rem}
.about{font-size:.9rem;margin:0;max-width:none;display:flex;flex-wrap:wrap;gap:.2rem 1.4rem}
.about b{color:var(--ink);font-weight:600}
.note,figcaption{font-size:.9rem}
code,.name{font-family:var(--mono);font-size:.86em}
.badge{display:inline-block;font:600 .78rem/1 var(--sans);letter-spacing:.02em;padding:.34em .6em;border-radius:1em;
border:1px solid currentColor;border-color:color-mix(in srgb,currentColor 45%,transparent);white-space:nowrap;color:var(--muted)}
.badge.pass,.badge.promoted,.badge.kept{color:var(--pass)}
.badge.fail,.badge.none{color:var(--fail)}
.badge.inconclusive{color:var(--open)}
.badge.winner{background:var(--pass);border-color:var(--pass);color:var(--paper)}
.badge.reference,.badge.champion{color:var(--reference)}
.outcome{font-size:.9rem;margin-right:.35rem}
.figures{display:grid;grid-template-columns:repeat(6,1fr);gap:1.6rem 1.5rem;margin:2.2rem 0 0;
padding:1.5rem 0;border-block:1px solid var(--rule)}
.figures div{display:flex;flex-direction:column}
.figures dt{order:2;font-size:.88rem;margin-top:.25rem}
.figures dd{margin:0;order:1;font:500 1.75rem/1.1 var(--serif);font-variant-numeric:lining-nums tabular-nums}
.figures dd.against{order:3;font:.8rem/1.4 var(--sans);color:var(--muted);margin-top:.15rem;overflow-wrap:anywhere}
figure{margin:1rem 0 0}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
.scroll:focus-visible{outline:2px solid var(--reference);outline-offset:2px}
svg{display:block;width:100%;min-width:38rem;max-width:60rem;height:auto}
svg text{font-family:var(--sans)!important}
figcaption{max-width:46rem;margin-top:.7rem}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums;line-height:1.4}
th,td{text-align:left;vertical-align:top;padding:.55rem 1rem .55rem 0;border-bottom:1px solid var(--rule)}
thead th{font-weight:600;font-size:.78rem;color:var(--muted);vertical-align:bottom;white-space:nowrap}
tbody th{font-weight:400}
th.number,td.number{text-align:right;white-space:nowrap}
td.number small,th small,td small{display:block;color:var(--muted);font-size:.92em}
.ladder{min-width:64rem;font-size:.84rem}
.ladder th,.ladder td{padding-right:.85rem}
.ladder td .badge{font-size:.72rem}
.ladder td:nth-child(4){min-width:6.5rem}
.ladder td:last-child{min-width:13rem}
.ladder tr.winner>*{background:var(--tint)}
.ladder th[scope=row]{min-width:9.5rem;max-width:14rem;overflow-wrap:anywhere}
.ladder th .badge{margin:.3rem .3rem 0 0;font-size:.7rem}
.ladder tr>:first-child{padding-left:.5rem}
.pairs th{color:var(--muted);width:13rem;padding-right:1.5rem}
.pairs td{overflow-wrap:anywhere}
.rows td{white-space:nowrap}
.rows td:last-child{min-width:11rem;white-space:normal;overflow-wrap:anywhere}
.grids .wide{grid-column:1/-1}
.reasons{list-style:none;margin:1.2rem 0 0;padding:0;display:grid;gap:0 2.5rem;
grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr))}
.reasons li{padding:.75rem 0;border-top:1px solid var(--rule);overflow-wrap:anywhere}
.reasons .badge{margin-left:.4rem;font-size:.7rem}
.reasons p{margin:.2rem 0 0;font-size:.9rem}
.reasons .gate{color:var(--muted);font-size:.85rem}
.grids{display:grid;gap:0 3rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr))}
.grids>section{min-width:0}
.bar{display:block;height:.5rem;min-width:1px;margin-top:.4rem;background:var(--reference);border-radius:1px}
td.track{width:35%}
details{margin-top:3.6rem;border-top:1px solid var(--rule);padding-top:1rem}
summary{cursor:pointer;font-weight:600}
pre{overflow:auto;max-height:34rem;background:var(--raised);padding:1rem;font:.78rem/1.5 var(--mono);border-radius:4px}
@media (max-width:62rem){.ladder th[scope=row]{position:sticky;left:0;background:var(--paper)}
.figures{grid-template-columns:repeat(3,1fr)}}
@media (max-width:40rem){.figures{grid-template-columns:1fr 1fr}.figures dd{font-size:1.5rem}
.pairs th{width:9rem}h2{margin-top:2.8rem}}
@media print{.scroll{overflow:visible}svg,.ladder{min-width:0}details{display:none}}
"""
