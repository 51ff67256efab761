// A part that is tables alone.

class TablesPart {
  constructor(part) {
    this.element = el("div", { class: "part" }, el("header", {}, el("p", { class: "verdict", text: part.said.verdict })),
      part.tables.map((one) => el("section", { class: "block" }, el("h2", { text: one.title }), table(one.rows),
        one.about ? el("p", { class: "about", text: one.about }) : null)));
  }

  begin() {}

  key() {
    return false;
  }
}
