#pragma once

namespace gpucnn::report {

/// The style sheet of a report: light and dark as the reader's system is, one column on a phone. All text has a contrast of at
/// least 4.5 to what is behind it (WCAG 2.1, AA).
inline constexpr const char* kStyle = R"css(
:root{color-scheme:light dark;--page:#fff;--card:#f6f8fa;--edge:#d0d7de;--text:#1f2328;--quiet:#57606a;--a:#0969da;--b:#bc4c00;
--right:9 105 218;--wrong:188 76 0;--step:.07}
@media(prefers-color-scheme:dark){:root{--page:#0d1117;--card:#161b22;--edge:#30363d;--text:#e6edf3;--quiet:#9da7b3;--a:#58a6ff;
--b:#f0883e;--right:88 166 255;--wrong:240 136 62;--step:.045}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1120px;padding:16px;background:var(--page);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6em;line-height:1.25;margin:.4em 0 .1em}
h2{font-size:1.2em;margin:2em 0 .6em}
p{margin:.3em 0 .8em}
.quiet,figcaption,svg text{color:var(--quiet);fill:var(--quiet)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:12px;margin:16px 0;padding:0}
.facts div,.charts figure,.mistakes figure{background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:12px;margin:0}
.facts dt{color:var(--quiet);font-size:.85em}
.facts dd{margin:0;font-size:1.35em;font-variant-numeric:tabular-nums}
.facts .quiet{display:block;font-size:.63em}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:12px}
svg{display:block;width:100%;height:auto}
svg text{font-size:11px}
.grid{stroke:var(--edge);stroke-width:1}
.line0,.line1{fill:none;stroke-width:2;stroke:var(--a)}
.line1{stroke:var(--b);stroke-dasharray:6 3}
.dot0{fill:var(--a)}.dot1{fill:var(--b)}
.key{display:inline-block;width:24px;border-top:2px solid var(--a);vertical-align:middle;margin:0 6px 0 0}
.key1{border-top:2px dashed var(--b);margin-left:14px}
.scroll{overflow-x:auto;width:fit-content;max-width:100%;border:1px solid var(--edge);border-radius:8px}
.scroll:focus-visible,summary:focus-visible{outline:3px solid var(--a);outline-offset:2px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:4px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--edge)}
th:first-child,.words td{text-align:left}
th{font-weight:600}
.words td{white-space:normal}
.matrix td{text-align:center;min-width:3em;background:rgb(var(--wrong)/calc(var(--l,0)*var(--step)))}
.matrix td.right{background:rgb(var(--right)/calc(var(--l,0)*var(--step)));font-weight:600}
.bar{display:inline-block;width:160px;max-width:40vw;height:10px;border:1px solid var(--quiet);border-radius:5px;overflow:hidden;
vertical-align:middle}
.bar i{display:block;height:100%;background:var(--a)}
.mistakes{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,220px),1fr));gap:12px}
.mistakes img{width:calc(50% - 3px);image-rendering:pixelated;border-radius:4px}
.mistakes .pair{display:flex;gap:6px;align-items:flex-start}
.filters{image-rendering:pixelated;width:100%;max-width:560px;border:1px solid var(--edge)}
pre{margin:0;padding:12px;font:13px/1.45 ui-monospace,monospace}
summary{cursor:pointer;padding:4px 0}
)css";

}  // namespace gpucnn::report
