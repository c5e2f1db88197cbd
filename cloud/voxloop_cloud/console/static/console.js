"use strict";
// Keys (data-key), the player, charts, and where an answer of the server is an error. Everything else is the server's.

function isTyping(target) {
  return target.matches("input:not([type=checkbox]), textarea, select, [contenteditable]");
}

function press(element) {
  if (element instanceof HTMLMediaElement) element.paused ? element.play() : element.pause();
  else if (element.matches("input, textarea")) { element.focus(); element.select(); }
  else element.click();
}

document.addEventListener("keydown", (event) => {
  const answers = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  if (answers) {
    const main = document.querySelector("[data-key='ctrl-enter']");
    if (main) { event.preventDefault(); main.click(); }
    return;
  }
  if (event.key === "Escape" && isTyping(event.target)) { event.target.blur(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === " " && event.target.matches("button, a, summary, audio, input")) return;
  const wanted = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (wanted) { event.preventDefault(); press(wanted); }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

// A question before a form that cannot be taken back.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.asks;
  if (question && !window.confirm(question)) event.preventDefault();
});

function clock(at_s) {  // UTC, as everywhere
  return new Date(1000 * at_s).toISOString().slice(11, 16);
}

async function drawChart(element) {
  const answer = await fetch(element.dataset.series);
  if (!answer.ok) return;
  const found = await answer.json();
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  element.replaceChildren();
  const chart = new uPlot({
    width: element.clientWidth, height: 180, legend: { show: false }, cursor: { y: false },
    axes: [{ ...axis, size: 26, values: (_, at) => at.map(clock) }, { ...axis, size: 48 }],
    padding: [8, 8, 0, 0],
    series: [{}, { stroke: colour("--accent"), width: 1.5, spanGaps: false, points: { show: found.values.length < 40 } }],
  }, [found.at_s, found.values], element);
  new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: 180 })).observe(element);
  if (element.dataset.every) setInterval(async () => {
    const next = await fetch(element.dataset.series);
    if (next.ok) { const now = await next.json(); chart.setData([now.at_s, now.values]); }
  }, 1000 * Number(element.dataset.every));
}

document.querySelectorAll("[data-series]").forEach(drawChart);
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });  // on a phone
