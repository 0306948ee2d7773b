// Curves of metrics, by uPlot; each with its last value in words, since a canvas says nothing to a screen reader.

/* global uPlot */
import { fill, h } from "./dom.js";
import * as f from "./format.js";

const COLORS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"];
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// "test-auc" and "train-auc" belong together.
function groupOf(metrics) {
  const groups = new Map();
  for (const metric of metrics) {
    if (metric.points.length < 2) continue;
    const name = metric.name.replace(/^(train|test|validation|valid|eval|dtrain|dtest)[-_]/, "");
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(metric);
  }
  return groups;
}

function aligned(metrics) {
  const steps = [...new Set(metrics.flatMap(metric => metric.points.map(point => point[0])))].sort((a, b) => a - b);
  return [steps, ...metrics.map(metric => {
    const by = new Map(metric.points);
    return steps.map(step => typeof by.get(step) === "number" ? by.get(step) : null);
  })];
}

function axis(label) {
  return { stroke: css("--faint"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "11px system-ui", labelFont: "11px system-ui",
    label, labelSize: label ? 16 : 0, size: label ? 30 : 54 };
}

class Chart {
  constructor(name) {
    this.name = name;
    this.plot = h("div", { class: "plot", role: "img" });
    this.legend = h("ul", { class: "legend" });
    this.element = h("figure", { class: "chart" }, h("figcaption", null, f.visible(name)), this.plot, this.legend);
  }

  show(metrics) {
    const last = metrics.map(metric => metric.points[metric.points.length - 1]);
    const words = metrics.map((metric, i) => `${metric.name} ${f.figure(last[i][1])} at step ${last[i][0]}`);
    this.plot.setAttribute("aria-label", f.visible(words.join("; ")));
    fill(this.legend, metrics.map((metric, i) => {
      const key = h("span", { class: "key", "aria-hidden": "true" });
      key.style.background = css(COLORS[i % COLORS.length]);
      return h("li", null, key, f.visible(metric.name), h("strong", null, f.figure(last[i][1])));
    }));
    const data = aligned(metrics), width = this.plot.clientWidth || 320;
    if (this.uplot && this.count === metrics.length) return this.uplot.setData(data);
    this.count = metrics.length;
    this.clear();
    this.uplot = new uPlot({ width, height: 170, legend: { show: false }, cursor: { y: false, points: { size: 6 } }, scales: { x: { time: false } },
      axes: [axis("step"), axis()], series: [{}, ...metrics.map((metric, i) => ({ stroke: css(COLORS[i % COLORS.length]), width: 1.75, points: { show: false } }))] }, data, this.plot);
  }

  resize() { if (this.uplot && this.plot.clientWidth > 0) this.uplot.setSize({ width: this.plot.clientWidth, height: 170 }); }

  clear() {
    if (this.uplot) this.uplot.destroy();
    this.uplot = null;
  }
}

export class Charts {
  constructor(signal) {
    this.element = h("div", { class: "charts" });
    this.by = new Map();
    this.metrics = [];
    const watcher = new ResizeObserver(() => { for (const chart of this.by.values()) chart.resize(); });
    watcher.observe(this.element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", () => { for (const chart of this.by.values()) chart.clear(); this.show(this.metrics); }, { signal });
    signal.addEventListener("abort", () => { watcher.disconnect(); for (const chart of this.by.values()) chart.clear(); });
  }

  show(metrics) {
    this.metrics = metrics;
    for (const [name, group] of groupOf(metrics)) {
      if (!this.by.has(name)) {
        const chart = new Chart(name);
        this.by.set(name, chart);
        this.element.append(chart.element);
      }
      this.by.get(name).show(group);
    }
    return this.by.size;
  }
}
