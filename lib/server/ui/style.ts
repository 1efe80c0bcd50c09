export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #fbfbf9; --panel: #ffffff; --ink: #1c2024; --quiet: #5b636b; --line: #d9dcdf;
  --accent: #0b6e5f; --accent-ink: #ffffff; --cold: #f1f4f3; --hot: #0b6e5f; --warn: #9a4b00; --bad: #b3261e;
  --radius: 8px;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #131618; --panel: #1b1f22; --ink: #e9ecee; --quiet: #a3abb2; --line: #343a3f;
    --accent: #4cc9ae; --accent-ink: #06231d; --cold: #22282b; --hot: #3fb89f; --warn: #ffb470; --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
header { display: flex; align-items: baseline; justify-content: space-between; flex-wrap: wrap; gap: 0 1rem; }
header, main { max-width: 68rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.35rem; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 1.05rem; margin: 0 0 .25rem; }
h3 { font-size: 1rem; margin: 0 0 .25rem; }
a { color: var(--accent); }
nav a { margin-left: .75rem; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: 1rem; background: var(--panel); padding: .5rem; z-index: 1; }
main { display: grid; gap: 1rem; padding-top: 0; }
section, form, article { background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius); padding: 1rem; min-width: 0; }
.docs section { background: none; border: 0; padding: 0; display: grid; gap: 1rem; }
.live { display: grid; gap: .5rem; padding: .75rem 1rem; }
.live dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(6.5rem, 1fr)); gap: .5rem 1rem; margin: 0; }
.live dt { font-size: .8rem; color: var(--quiet); }
.live dd { margin: 0; font-variant-numeric: tabular-nums; font-weight: 600; }
#history { width: 100%; height: 2rem; }
#history polyline { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
label { display: block; font-size: .875rem; font-weight: 600; margin-bottom: .25rem; }
textarea, select, input {
  width: 100%; font: inherit; color: inherit; background: var(--ground);
  border: 1px solid var(--quiet); border-radius: 6px; padding: .5rem .6rem; min-height: 2.75rem;
}
textarea { resize: vertical; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin-top: .75rem; }
#key-row { margin-top: .75rem; }
.actions { display: flex; flex-wrap: wrap; align-items: center; }
button {
  font: inherit; font-weight: 600; min-height: 2.75rem; padding: .5rem 1.25rem; border-radius: 6px; cursor: pointer;
  border: 1px solid var(--accent); background: var(--accent); color: var(--accent-ink);
}
button#stop { background: none; color: var(--accent); }
button:disabled { opacity: .5; cursor: default; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
output.bad { color: var(--bad); }
.hint { margin: .25rem 0 .5rem; font-size: .875rem; color: var(--quiet); }
.scale { display: inline-block; width: 6rem; height: .75rem; border-radius: 3px; vertical-align: middle; background: linear-gradient(to right, var(--cold), var(--hot)); border: 1px solid var(--line); }
#results { display: grid; gap: 1rem; grid-template-columns: 1fr; }
#results:focus { outline: none; }
@media (min-width: 60rem) {
  #results { grid-template-columns: 1fr 1fr; }
  #results section:last-child { grid-column: 1 / -1; }
}
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .875rem; }
caption { text-align: left; font-weight: 600; padding: .25rem 0; }
th, td { padding: .35rem .6rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; }
#list { width: 100%; }
#list td.text { overflow-wrap: anywhere; min-width: 7rem; }
.docs table { width: 100%; }
.docs th { white-space: nowrap; font-weight: 400; }
.docs td:nth-child(2) { color: var(--quiet); }
#matrix th, #matrix td { border: 1px solid var(--panel); padding: .3rem .4rem; text-align: center; min-width: 2.6rem; }
#matrix th { color: var(--quiet); font-weight: 600; }
.cut { display: block; color: var(--warn); font-weight: 600; }
@media (max-width: 30rem) { #list { font-size: .8rem; } #list th, #list td { padding: .3rem; } }
#map { width: 100%; height: auto; touch-action: pan-y; }
#map circle { fill: var(--accent); stroke: var(--panel); stroke-width: 1.5; }
#map text { fill: var(--ink); font-size: 11px; }
#map line { stroke: var(--line); }
@media (prefers-reduced-motion: no-preference) { #history polyline { transition: opacity .2s; } }
`;
