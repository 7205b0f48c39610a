// Numbers in words. Each keeps its number of digits, so that what is written does not jump.

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

// bytes is [number, unit].
export function bytes(n) {
  let at = 0;
  while (n >= 1000 && at < units.length - 1) {
    n /= 1024;
    at++;
  }
  const digits = at === 0 || n >= 100 ? 0 : n >= 10 ? 1 : 2;
  return [n.toFixed(digits), units[at]];
}

export const size = (n) => bytes(n).join(" ");

// processors is a number of them.
export const processors = (n) => n.toFixed(2);

// whole is a whole number in groups of three.
export const whole = (n) => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, "\u2009");

// span is a time that has passed, in milliseconds.
export function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// took is a short time in seconds.
export function took(s) {
  if (s < 1e-3) return `${(s * 1e6).toFixed(0)} µs`;
  if (s < 1) return `${(s * 1e3).toFixed(1)} ms`;
  return `${s.toFixed(2)} s`;
}
