/** A form from a JSON Schema and back to answers. Pure. */
import type { FormSchema } from "../log/events";

export interface FormField {
  name: string;
  label: string;
  note: string;
  kind: "text" | "long" | "number" | "integer" | "boolean" | "choice" | "choices" | "json";
  choices: { value: string; label: string; raw: unknown }[];
  isRequired: boolean;
  schema: FormSchema;
}

export type Value = string | boolean | string[];
export type Values = Record<string, Value | undefined>;

export interface Fault {
  code: "required" | "number" | "whole" | "least" | "most" | "short" | "long" | "pattern" | "json";
  values: Record<string, number | string>;
}

const LONG = 200;

export function fieldsOf(schema: FormSchema | null): FormField[] {
  return Object.entries(schema?.properties ?? {}).map(([name, one]) => ({
    name,
    label: one.title ?? name,
    note: one.description ?? "",
    kind: kindOf(one),
    choices: choicesOf(one.type === "array" ? (one.items ?? {}) : one),
    isRequired: schema?.required?.includes(name) ?? false,
    schema: one,
  }));
}

/** Whether the field's label says the question's title once more. */
export function repeatsTitle({ label }: FormField, title: string): boolean {
  return label.trim() === title.trim();
}

function kindOf(schema: FormSchema): FormField["kind"] {
  if (schema.enum || schema.oneOf) return "choice";
  if (schema.type === "array" && schema.items && (schema.items.enum || schema.items.oneOf)) return "choices";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "number" || schema.type === "integer") return schema.type;
  if (schema.type === "string") return (schema.maxLength ?? 0) > LONG ? "long" : "text";
  return "json";
}

function choicesOf(schema: FormSchema): FormField["choices"] {
  if (schema.oneOf) return schema.oneOf.map((one) => ({ value: String(one.const), label: one.title ?? String(one.const), raw: one.const }));
  return (schema.enum ?? []).map((one) => ({ value: String(one), label: String(one), raw: one }));
}

export function initialValues(fields: FormField[]): Values {
  return Object.fromEntries(fields.map((field) => [field.name, initialOf(field)]));
}

function initialOf({ kind, schema, choices, isRequired }: FormField): Value {
  const given = schema.default;
  if (kind === "boolean") return given === true;
  if (kind === "choices") return Array.isArray(given) ? given.map(String) : [];
  if (kind === "json") return given === undefined ? "" : JSON.stringify(given, null, 2);
  if (given !== undefined) return String(given);
  return kind === "choice" && isRequired ? (choices[0]?.value ?? "") : "";
}

export function readAnswers(fields: FormField[], values: Values): { answers: Record<string, unknown>; faults: Record<string, Fault> } {
  const answers: Record<string, unknown> = {};
  const faults: Record<string, Fault> = {};
  for (const field of fields) {
    const value = values[field.name] ?? "";
    if (value === "" || (Array.isArray(value) && value.length === 0)) {
      if (field.isRequired) faults[field.name] = { code: "required", values: {} };
      continue;
    }
    const read = readOne(field, value);
    if ("fault" in read) faults[field.name] = read.fault;
    else answers[field.name] = read.answer;
  }
  return { answers, faults };
}

type Read = { answer: unknown } | { fault: Fault };
const fault = (code: Fault["code"], values: Fault["values"] = {}): Read => ({ fault: { code, values } });

function readOne(field: FormField, value: Value): Read {
  const raw = (text: string): unknown => field.choices.find((choice) => choice.value === text)?.raw ?? text;
  if (field.kind === "boolean") return { answer: value === true };
  if (field.kind === "choices") return { answer: (value as string[]).map(raw) };
  if (field.kind === "choice") return { answer: raw(String(value)) };
  if (field.kind === "number" || field.kind === "integer") return readNumber(field, String(value));
  return field.kind === "json" ? readJson(String(value)) : readText(field.schema, String(value));
}

function readNumber({ kind, schema }: FormField, text: string): Read {
  const number = Number(text);
  if (!Number.isFinite(number)) return fault("number");
  if (kind === "integer" && !Number.isInteger(number)) return fault("whole");
  if (schema.minimum !== undefined && number < schema.minimum) return fault("least", { value: schema.minimum });
  if (schema.maximum !== undefined && number > schema.maximum) return fault("most", { value: schema.maximum });
  return { answer: number };
}

function readText(schema: FormSchema, text: string): Read {
  if (schema.minLength !== undefined && text.length < schema.minLength) return fault("short", { value: schema.minLength });
  if (schema.maxLength !== undefined && text.length > schema.maxLength) return fault("long", { value: schema.maxLength });
  return { answer: text };
}

function readJson(text: string): Read {
  try {
    return { answer: JSON.parse(text) as unknown };
  } catch {
    return fault("json");
  }
}
