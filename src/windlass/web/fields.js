/** Numbers in forms. A field follows what the server says until a person has typed something else. */

import { make } from "./dom.js";

const MEGA = 1e6;
const whole = (number, least, most) => (Number.isInteger(number) && number >= least && number <= most ? number : undefined);

/** Each with what it looks like, what is wanted, and how text is read: undefined is none. */
const COUNT = {
  attributes: { min: 1, step: 1 }, wanted: "a whole number from 1 up is wanted",
  read: (text) => whole(text === "" ? NaN : Number(text), 1, Number.MAX_SAFE_INTEGER), text: String,
};
const PRIORITY = {
  attributes: { step: 1 }, wanted: "a whole number is wanted, between two thousand million below 0 and above",
  read: (text) => whole(text === "" ? NaN : Number(text), -(2 ** 31), 2 ** 31 - 1), text: String,
};
const RATE = {
  attributes: { min: 0, step: "any", placeholder: "no limit" }, wanted: "a number above 0 is wanted, or nothing for no limit",
  read: (text) => (text === "" ? null : whole(Math.round(Number(text) * MEGA), 1, Number.MAX_SAFE_INTEGER)),
  text: (value) => (value ? String(value / MEGA) : ""),
};
let made = 0;

export class Field {
  /**
   * @param {object} kind
   * @param {string} label
   * @param {string} [of] what it belongs to, for who hears it, where there are several of that label.
   */
  constructor(kind, label, of = "") {
    this.kind = kind;
    this.label = label;
    this.input = make("input", { id: `field-${++made}`, type: "number", ...kind.attributes, "aria-label": of ? `${label} ${of}` : null });
    this.element = make("span", { class: "row" }, make("label", { for: this.input.id }, label), this.input);
    this.kept = this.sent = "";
  }

  static count(label) { return new Field(COUNT, label); }
  static priority(label, of) { return new Field(PRIORITY, label, of); }
  static rate(label, of) { return new Field(RATE, label, of); }

  /** Whether a person has typed something else than what is so. What is no number at all has no text here. */
  get touched() {
    return this.input.value !== this.kept || this.input.validity.badInput;
  }

  /** What the server says. Nothing changes under the hands of who is at it. */
  follow(value) {
    const text = this.kind.text(value);
    if (this.touched) this.kept = text;
    else if (document.activeElement !== this.input) this.input.value = this.kept = text;
  }

  /** What the server says after it was told what was read here. */
  taken(value) {
    this.kept = this.kind.text(value);
    if (this.input.value === this.sent) this.input.value = this.kept;
  }

  /** As the API has it. Raises an Error for people, and shows them where. */
  read() {
    this.sent = this.input.value;
    const value = this.input.validity.badInput ? undefined : this.kind.read(this.sent);
    this.input.ariaInvalid = value === undefined ? "true" : null;
    if (value !== undefined) return value;
    this.input.focus();
    throw new Error(`${this.label}: ${this.kind.wanted}.`);
  }
}

/** What a person has changed of these, by the names of the API. Raises an Error for people. */
export const changes = (fields) => Object.fromEntries(
  Object.entries(fields).filter(([, field]) => field.touched).map(([name, field]) => [name, field.read()]));

export const follow = (fields, values) => Object.entries(fields).forEach(([name, field]) => field.follow(values[name]));

/** @param {object} sent what `changes` gave; what else was typed meanwhile stays. */
export const taken = (fields, sent, values) => Object.entries(fields).forEach(([name, field]) => (
  name in sent ? field.taken(values[name]) : field.follow(values[name])));
