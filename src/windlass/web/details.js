import { make, say, trouble } from "./dom.js";
import { clock, size, speed } from "./format.js";
import { arrange, Table } from "./lists.js";

const LINES = 12; // of what has happened, the latest

const share = (part, whole) => (part === undefined ? "–" : whole ? `${Math.floor(100 * part / whole)} %` : "100 %");

/** All that is known of a job, changed in place each second: who reads in it is not disturbed. */
export class Details {
  /** @param {string} label the job's. */
  constructor(label) {
    this.why = make("small");
    this.source = make("code");
    this.path = make("code");
    this.to = make("span", {}, " to ", this.path);
    this.files = new Table(`Files of ${label}`, ["File", { n: "Size" }, { n: "Here" }, { n: "Hashed" }, { n: "Connections" }, { n: "Retries" }]);
    this.title = make("h4", {}, "Connections");
    this.connections = new Table(`Connections of ${label}`, ["File", { n: "Stands at" }, { n: "Goes to" }, { n: "Speed" }]);
    this.log = make("ul");
    this.wrong = make("p", { class: "bad" });
    this.content = make("div", { hidden: true },
      make("p", {}, this.why), make("p", {}, make("small", {}, "From ", this.source, this.to)),
      this.files.element, this.title, this.connections.element, this.log);
    this.element = make("div", {}, this.wrong, this.content);
  }

  show(job) {
    this.content.hidden = false;
    trouble(this.wrong, null);
    say(this.why, job.why);
    say(this.source, job.source);
    say(this.path, job.path ?? "");
    this.to.hidden = !job.path;
    this.files.show(job.files.map((file) => [file.path, size(file.size_bytes), share(file.downloaded_bytes, file.size_bytes),
      share(file.verified_bytes, file.size_bytes), String(file.connections ?? 0), String(file.retries ?? 0)]));
    const rows = job.files.flatMap((file) => (file.segments ?? []).map((segment) => [
      file.path.split("/").at(-1), size(segment.position), size(segment.end), speed(segment.bytes_per_second)]));
    this.connections.show(rows);
    this.title.hidden = this.connections.element.hidden = !rows.length;
    this.happened(job.log.slice(-LINES).map((line) => `${clock(line.at)} ${line.text}`));
  }

  /** A line that stands there already stays the same element. */
  happened(texts) {
    const old = [...this.log.children];
    const line = (text) => {
      const known = old.findIndex((each) => each.textContent === text);
      return known < 0 ? make("li", {}, make("small", {}, text)) : old.splice(known, 1)[0];
    };
    arrange(this.log, texts.map(line), this.log);
  }

  fail(error) {
    trouble(this.wrong, error);
  }
}
