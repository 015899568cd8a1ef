/** Run in the page: types into the field of that id in the moment in which there is one, before it is drawn. */
export function typesAtOnce(id: string, value: string): string {
  return `new MutationObserver((_, self) => {
    const field = document.getElementById('${id}');
    if (field === null) return;
    self.disconnect();
    field.value = '${value}';
    field.dispatchEvent(new Event('input', { bubbles: true }));
  }).observe(document.body, { childList: true, subtree: true })`;
}
