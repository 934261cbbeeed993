"""The style sheet of the HTML report: system fonts, two grounds, no address."""

from __future__ import annotations

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
.about,.note,.exact,figcaption{color:var(--muted)}
.lead{font-size:1.1rem;margin-bottom:.6rem;overflow-wrap:anywhere}
.exact{font-size:.9rem;margin-top:1.1rem;overflow-wrap:anywhere}
.about{font-size:.9rem;margin:0;max-width:none;display:flex;flex-wrap:wrap;align-items:center;gap:.2rem 1.4rem;
overflow-wrap:anywhere}
.about b{color:var(--ink);font-weight:600}
.note,figcaption{font-size:.9rem}
code,.name{font-family:var(--mono);font-size:.86em}
.badge{display:inline-block;font:600 .78rem/1 var(--sans);letter-spacing:.02em;padding:.34em .6em;border-radius:1em;
border:1px solid currentColor;border-color:color-mix(in srgb,currentColor 45%,transparent);white-space:nowrap;color:var(--muted)}
.badge.pass,.badge.promoted,.badge.waiting,.badge.kept{color:var(--pass)}
.badge.fail,.badge.none{color:var(--fail)}
.badge.inconclusive{color:var(--open)}
.badge.winner{background:var(--pass);border-color:var(--pass);color:var(--paper)}
.badge.reference,.badge.champion{color:var(--reference)}
.figures{display:grid;grid-template-columns:repeat(6,1fr);gap:1.6rem 1.5rem;margin:2.2rem 0 0;
padding:1.5rem 0;border-block:1px solid var(--rule)}
.figures div{display:flex;flex-direction:column}
.figures dt{order:2;font-size:.88rem;margin-top:.25rem}
.figures dd{margin:0;order:1;font:500 1.75rem/1.1 var(--serif);font-variant-numeric:lining-nums tabular-nums}
.figures dd.against{order:3;font:.8rem/1.4 var(--sans);color:var(--muted);margin-top:.15rem;overflow-wrap:anywhere}
figure{margin:1rem 0 0}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
.scroll:focus-visible{outline:2px solid var(--reference);outline-offset:2px}
svg{display:block;width:100%;max-width:60rem;height:auto}
.phone{display:none}
svg text{font-family:var(--sans)!important}
figcaption{max-width:46rem;margin-top:.7rem}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums;line-height:1.4}
th,td{text-align:left;vertical-align:top;padding:.55rem 1rem .55rem 0;border-bottom:1px solid var(--rule)}
thead th{font-weight:600;font-size:.78rem;color:var(--muted);vertical-align:bottom;white-space:nowrap}
tbody th{font-weight:400}
th.number,td.number{text-align:right;white-space:nowrap}
td.number small,th small,td small{display:block;color:var(--muted);font-size:.92em}
.ladder{font-size:.84rem}
.ladder th,.ladder td{padding-right:.85rem;vertical-align:baseline}
.ladder .badge{font-size:.7rem}
.ladder tr.winner>*{background:var(--tint)}
.ladder .name{font-size:.93em;overflow-wrap:anywhere;margin-right:.45rem}
.ladder th .badge{margin:0 .3rem 0 0}
.ladder tr>:first-child{padding-left:.5rem}
.ladder td:last-child{min-width:8.5rem}
.why summary{display:flex;align-items:baseline;gap:.45rem;font-weight:400;list-style:none}
.why summary::-webkit-details-marker{display:none}
.why summary span+span{color:var(--muted);text-decoration:underline dotted;text-underline-offset:.2em}
.why p{margin:.4rem 0 0;overflow-wrap:anywhere}
.why .gate,.reasons .gate{color:var(--muted)}
.unbuilt{padding:.55rem .5rem;font-size:.84rem;border-bottom:1px solid var(--rule)}
.unbuilt summary{font-weight:400}
.unbuilt ul{margin:.3rem 0 .6rem;padding-left:1.1rem;overflow-wrap:anywhere}
.unbuilt p{margin:.5rem 0 0}
.unbuilt small{color:var(--muted);margin-left:.45rem}
.unbuilt .badge{font-size:.7rem;margin-left:.4rem}
.pairs th{color:var(--muted);width:13rem;padding-right:1.5rem}
.pairs td{overflow-wrap:anywhere}
.rows th{white-space:normal}
.rows td{overflow-wrap:break-word}
.rows td:last-child{overflow-wrap:anywhere}
.grids .wide{grid-column:1/-1}
.reasons{list-style:none;margin:1.2rem 0 0;padding:0;display:grid;gap:0 2.5rem;
grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr))}
.reasons li{padding:.75rem 0;border-top:1px solid var(--rule);overflow-wrap:anywhere}
.reasons .badge{margin-left:.4rem;font-size:.7rem}
.reasons p{margin:.2rem 0 0;font-size:.9rem}
.reasons .gate{font-size:.85rem}
.grids{display:grid;gap:0 3rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr))}
.grids>section{min-width:0}
.bar{display:block;height:.5rem;min-width:1px;margin-top:.4rem;background:var(--reference);border-radius:1px}
td.track{width:35%}
summary{cursor:pointer;font-weight:600}
summary:focus-visible{outline:2px solid var(--reference);outline-offset:2px}
.receipt{margin-top:3.6rem;border-top:1px solid var(--rule);padding-top:1rem}
pre{overflow:auto;max-height:34rem;background:var(--raised);padding:1rem;font:.78rem/1.5 var(--mono);border-radius:4px}
@media (min-width:66.01rem){.ladder .name{white-space:nowrap}}
@media screen and (max-width:66rem){.figures{grid-template-columns:repeat(3,1fr)}
.ladder,.ladder tbody{display:block}
.ladder thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.ladder tr{display:grid;grid-template-columns:2rem repeat(3,1fr);gap:.15rem .6rem;padding:.7rem .5rem;
border-bottom:1px solid var(--rule)}
.ladder tr.winner{background:var(--tint)}
.ladder th,.ladder td{display:block;border:0;padding:0!important;min-width:0!important;text-align:left!important}
.ladder td.number+*~[data-label]::before{display:block;color:var(--muted);font-size:.9em;content:attr(data-label)}
.ladder th{grid-column:2/-1}
.ladder td:nth-child(3),.ladder td:nth-child(5){grid-column:2}
.ladder td:nth-child(6){grid-column:3/-1}
.ladder td:nth-child(7){grid-row:2;grid-column:4}
.ladder td:nth-child(8){grid-column:2/-1;margin-top:.25rem}}
@media screen and (max-width:40rem){.screen{display:none}.phone{display:block}.figures{grid-template-columns:1fr 1fr}.figures dd{font-size:1.5rem}
.pairs th{width:9rem}h2{margin-top:2.8rem}
.rows,.rows tbody,.rows tr{display:block}.rows thead{display:none}
.rows tr{padding:.45rem 0;border-bottom:1px solid var(--rule)}
.rows td{display:grid;grid-template-columns:9rem 1fr;gap:.6rem;border:0;padding:.1rem 0;white-space:normal;
overflow-wrap:anywhere}
.rows td::before{content:attr(data-label);color:var(--muted)}
.rows td:empty{display:none}}
@media print{:root{color-scheme:light;--paper:#fff;--raised:#fff;--ink:#000;--muted:#444;--rule:#bbb;
--pass:#1f7550;--fail:#b3372c;--open:#8a5d00;--reference:#2f66a8;--tint:#fff}
body{font-size:9.5pt}main{max-width:none;padding:0}.figures{grid-template-columns:repeat(3,1fr)}
table{font-size:8pt}.ladder{font-size:7pt}.ladder th,.ladder td{padding-right:.7rem}
thead th,.badge,.ladder .badge{font-size:1em}h2{margin-top:2rem}
*{box-shadow:none!important;text-shadow:none!important}
.scroll{overflow:visible}svg{max-width:100%}
h2,h3,summary{break-after:avoid}tr,figure,li,.figures div{break-inside:avoid}
.grids{display:block}
details::details-content{display:block;content-visibility:visible;height:auto}
.why summary span+span,.receipt{display:none}}
"""
