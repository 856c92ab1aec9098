/**
 * The page's text editor: TipTap with its usual extensions. Holds text; knows nothing of sending it.
 */
import { Editor } from "@tiptap/core";
import { Placeholder } from "@tiptap/extensions";
import StarterKit from "@tiptap/starter-kit";

/**
 * @param {object} options
 * @param {HTMLElement} options.element where the editor is put
 * @param {string} options.placeholder
 * @param {Record<string, string>} options.attributes of the editable element
 * @param {() => void} options.onChange
 * @param {(event: KeyboardEvent) => boolean} options.onKey whether the key has been dealt with
 */
export function createEditor({ element, placeholder, attributes, onChange, onKey }) {
  const editor = new Editor({
    element,
    extensions: [StarterKit, Placeholder.configure({ placeholder })],
    editorProps: { attributes, handleKeyDown: (_view, event) => onKey(event) },
    onUpdate: onChange,
  });
  return {
    text: () => editor.getText({ blockSeparator: "\n" }),
    /** @param {string} text */
    setText: (text) => {
      const lines = text ? text.split("\n") : [];
      const content = lines.map((line) => ({
        type: "paragraph",
        content: line ? [{ type: "text", text: line }] : [],
      }));
      editor.commands.setContent({
        type: "doc",
        content: content.length ? content : [{ type: "paragraph" }],
      });
      onChange();
    },
    focus: () => editor.commands.focus(),
    destroy: () => editor.destroy(),
  };
}
