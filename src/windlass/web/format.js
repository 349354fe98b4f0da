/** Numbers as people read them. Units are of 1000, as everywhere in Windlass. */

export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${unit ? bytes.toPrecision(3) : Math.round(bytes)} ${units[unit]}`;
}

export const speed = (perSecond) => `${size(perSecond)}/s`;

/** @param {number} seconds */
export function span(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const clock = (time) => new Date(time).toLocaleString();
