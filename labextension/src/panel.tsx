import type { ITranslator } from '@jupyterlab/translation';
import { ReactWidget, SidePanel } from '@jupyterlab/ui-components';
import type { AccordionPanel } from '@lumino/widgets';
import * as React from 'react';

import { ClusterSection } from './clustersection';
import type { IContext } from './context';
import { DiagnosticSection } from './diagnosticsection';
import { ExportSection } from './exportsection';
import { scaleIcon } from './icon';
import { NewSearchSection } from './newsearchsection';
import { SearchSection } from './searchsection';

export const PANEL = 'jupyter-scale-panel';
const NEW_SEARCH = 1;

/** The side panel: a section for each thing to do. */
export class Panel extends SidePanel {
  constructor(context: IContext, translator: ITranslator) {
    super({ translator });
    const { trans } = context;
    this.id = PANEL;
    this.addClass('jps-Panel');
    this.title.icon = scaleIcon;
    this.title.caption = trans.__('Scale: clusters and searches');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Scale'));
    const sections: [string, (props: { context: IContext }) => JSX.Element][] =
      [
        [trans.__('Clusters'), ClusterSection],
        [trans.__('New search'), NewSearchSection],
        [trans.__('Searches'), SearchSection],
        [trans.__('Diagnostics'), DiagnosticSection],
        [trans.__('Export'), ExportSection]
      ];
    for (const [label, Section] of sections) {
      const widget = ReactWidget.create(<Section context={context} />);
      widget.title.label = label;
      widget.addClass('jps-Section');
      this.addWidget(widget);
    }
    const accordion = this.content as AccordionPanel;
    accordion.collapse(NEW_SEARCH);
    accordion.collapse(sections.length - 1);
    accordion.setRelativeSizes([5, 0, 4, 3, 0]);
    accordion.expansionToggled.connect((_, index) => {
      if (
        index === NEW_SEARCH &&
        accordion.widgets[index]?.isHidden === false
      ) {
        accordion.setRelativeSizes([3, 16, 3, 2, 0]); // it is long
      }
    });
  }

  /** Open the section in which a search is filled in. */
  expandNewSearch(): void {
    (this.content as AccordionPanel).expand(NEW_SEARCH);
  }
}
