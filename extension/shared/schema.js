// Checks a value against a JSON schema: the few words of that language that `sites/site.schema.json` uses. A word it
// does not know is an error, so that a schema never promises what is not checked.

/** @typedef {Record<string, any>} Schema */

const KNOWN = new Set(
  ("$schema title type enum additionalProperties required properties maxProperties items minItems maxItems " +
    "minLength maxLength pattern minimum maximum").split(" "),
);

/**
 * The first thing that is wrong with the value, with its place; null when nothing is.
 * @param {Schema} schema @param {unknown} value @param {string} [place]
 * @returns {string | null}
 */
export function fault(schema, value, place = "pack") {
  for (const word of Object.keys(schema)) if (!KNOWN.has(word)) throw new Error(`The schema says ${word}.`);
  if (schema.enum) return schema.enum.includes(value) ? null : `${place} is none of ${schema.enum.join(", ")}`;
  if (typeOf(value) !== schema.type) return `${place} is not of type ${schema.type}`;
  switch (schema.type) {
    case "string":
      return textFault(schema, /** @type {string} */ (value), place);
    case "number":
      return numberFault(schema, /** @type {number} */ (value), place);
    case "array":
      return arrayFault(schema, /** @type {unknown[]} */ (value), place);
    case "object":
      return objectFault(schema, /** @type {Record<string, unknown>} */ (value), place);
  }
  return null;
}

/** @param {unknown} value */
function typeOf(value) {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

/** @param {Schema} schema @param {string} value @param {string} place */
function textFault(schema, value, place) {
  if (value.length < (schema.minLength ?? 0)) return `${place} is too short`;
  if (value.length > (schema.maxLength ?? Infinity)) return `${place} is too long`;
  if (schema.pattern && !new RegExp(schema.pattern, "u").test(value)) return `${place} has not the right form`;
  return null;
}

/** @param {Schema} schema @param {number} value @param {string} place */
function numberFault(schema, value, place) {
  const fits = value >= (schema.minimum ?? -Infinity) && value <= (schema.maximum ?? Infinity);
  return fits ? null : `${place} is out of range`;
}

/** @param {Schema} schema @param {unknown[]} value @param {string} place */
function arrayFault(schema, value, place) {
  if (value.length < (schema.minItems ?? 0)) return `${place} has too few items`;
  if (value.length > (schema.maxItems ?? Infinity)) return `${place} has too many items`;
  return first(value.map((item, index) => fault(schema.items, item, `${place}[${index}]`)));
}

/** @param {Schema} schema @param {Record<string, unknown>} value @param {string} place */
function objectFault(schema, value, place) {
  const names = Object.keys(value);
  if (names.length > (schema.maxProperties ?? Infinity)) return `${place} has too many fields`;
  const absent = (schema.required ?? []).find((/** @type {string} */ name) => !Object.hasOwn(value, name));
  if (absent) return `${place}.${absent} is missing`;
  return first(
    names.map((name) => {
      const own = Object.hasOwn(schema.properties ?? {}, name) ? schema.properties[name] : schema.additionalProperties;
      return own ? fault(own, value[name], `${place}.${name}`) : `${place}.${name} is not known`;
    }),
  );
}

/** @param {(string | null)[]} faults */
const first = (faults) => faults.find((found) => found !== null) ?? null;
