import { make, say } from "./dom.js";
import { speed } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const KEPT = 120; // samples, one a second

/** The speed over the last two minutes, as a line; its words are for everybody, for a line has no numbers. */
export class Chart {
  constructor() {
    this.samples = [];
    const picture = document.createElementNS(SVG, "svg");
    picture.setAttribute("viewBox", `0 0 ${KEPT} 40`);
    picture.setAttribute("preserveAspectRatio", "none");
    picture.setAttribute("aria-hidden", "true");
    this.line = document.createElementNS(SVG, "polyline");
    picture.append(this.line);
    this.words = make("figcaption");
    this.element = make("figure", { class: "chart" }, picture, this.words);
  }

  /** Once a second. @param {number} perSecond bytes, now. */
  add(perSecond) {
    this.samples = [...this.samples, perSecond].slice(-KEPT);
    const most = Math.max(...this.samples, 1);
    const from = KEPT - this.samples.length;
    const points = this.samples.map((value, index) => `${from + index},${(38 - 36 * value / most).toFixed(1)}`);
    this.line.setAttribute("points", points.join(" "));
    say(this.words, most > 1 ? `At most ${speed(most)} in the last ${this.samples.length} s` : "");
  }
}
