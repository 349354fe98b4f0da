import { speed } from "./format.js";
import { say } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const KEPT = 120; // samples, one a second

/** The speed over the last two minutes, as a line; in words for those who do not see it. */
export class Chart {
  constructor() {
    this.samples = [];
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("class", "chart");
    this.element.setAttribute("viewBox", `0 0 ${KEPT} 40`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("role", "img");
    this.title = document.createElementNS(SVG, "title");
    this.line = document.createElementNS(SVG, "polyline");
    this.element.append(this.title, this.line);
    this.last = 0;
  }

  /** @param {number} perSecond bytes, now. */
  add(perSecond) {
    if (Date.now() - this.last < 1000) return;
    this.last = Date.now();
    this.samples = [...this.samples, perSecond].slice(-KEPT);
    const most = Math.max(...this.samples, 1);
    const from = KEPT - this.samples.length;
    const points = this.samples.map((value, index) => `${from + index},${(38 - 36 * value / most).toFixed(1)}`);
    this.line.setAttribute("points", points.join(" "));
    say(this.title, `Speed over the last ${this.samples.length} seconds: at most ${speed(most)}, now ${speed(perSecond)}`);
  }
}
