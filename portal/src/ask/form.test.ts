import { describe, expect, it } from "vitest";
import { fieldsOf, initialValues, readAnswers, repeatsTitle } from "./form";

const schema = {
  type: "object",
  required: ["name", "size"],
  properties: {
    name: { type: "string", minLength: 2 },
    size: { type: "integer", minimum: 1, maximum: 5, default: 3 },
    kind: { type: "string", enum: ["a", "b"] },
    many: { type: "array", items: { enum: [1, 2] } },
    isOn: { type: "boolean" },
    other: { type: "object" },
  },
};
const fields = fieldsOf(schema);

describe("a form from a schema", () => {
  it("has a kind of field for each kind of value", () => {
    expect(fields.map((field) => field.kind)).toEqual(["text", "integer", "choice", "choices", "boolean", "json"]);
  });

  it("says of a field whether its label only repeats the question", () => {
    const [asked, named] = fieldsOf({ type: "object", properties: { answer: { type: "string", title: "Which colour? " }, shade: { type: "string" } } });
    const title = "Which colour?";
    expect([asked, named].map((field) => field && repeatsTitle(field, title))).toEqual([true, false]);
  });

  it("gives answers of the schema's own types", () => {
    const values = { ...initialValues(fields), name: "Li", kind: "b", many: ["2"], isOn: true, other: '{"x": 1}' };
    expect(readAnswers(fields, values)).toEqual({ answers: { name: "Li", size: 3, kind: "b", many: [2], isOn: true, other: { x: 1 } }, faults: {} });
  });

  it("says what is missing, too short, too much and no JSON", () => {
    const { faults } = readAnswers(fields, { name: "L", size: "9", other: "{" });
    expect(faults).toMatchObject({ name: { code: "short" }, size: { code: "most", values: { value: 5 } }, other: { code: "json" } });
    expect(readAnswers(fields, {}).faults).toMatchObject({ name: { code: "required" }, size: { code: "required" } });
  });
});
